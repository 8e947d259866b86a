import math

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support.weights import SHAPES, normal


@pytest.mark.parametrize("shape", SHAPES)
def test_features_per_neuron_match_loops(shape):
    w = normal(*shape)
    expected = reference.per_instance(reference.features_per_neuron, w)
    torch.testing.assert_close(F.features_per_neuron(w), expected, equal_nan=True, rtol=1e-6, atol=1e-5)


def test_features_per_neuron_leaves_out_dead_neurons_that_jitter():
    w = torch.cat([torch.eye(4), 1e-3 * torch.ones(4, 8)], 1)
    assert F.features_per_neuron(w).item() == 1
    assert F.features_per_neuron(w, tolerance=0.0).item() == pytest.approx((4 + 8 * 4) / 12)
    assert math.isnan(F.features_per_neuron(torch.zeros(3, 4)).item())


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, math.nan])
def test_a_relative_tolerance_must_lie_below_1(tolerance):
    with pytest.raises(ValueError, match=rf"`tolerance` must lie in \[0, 1\), got {tolerance}\."):
        F.features_per_neuron(torch.eye(2), tolerance=tolerance)
