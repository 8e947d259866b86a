import math

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support.weights import SHAPES, normal


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, math.nan])
def test_the_tolerance_of_sparsity_must_lie_below_1(tolerance):
    with pytest.raises(ValueError, match=rf"`tolerance` must lie in \[0, 1\), got {tolerance}\."):
        F.sparsity_count(torch.eye(2), tolerance=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["sparsity_count", "l1_norm"])
def test_sparsification_matches_loops(name, shape):
    w = normal(*shape).pow(5)
    torch.testing.assert_close(getattr(F, name)(w), reference.per_instance(getattr(reference, name), w))


def test_sparsification_runs_from_all_neurons_to_one():
    assert F.sparsity_count(torch.full((2, 9), 1 / 3)).item() == 9
    assert F.l1_norm(torch.full((2, 9), 1 / 3, dtype=torch.float64)).item() == pytest.approx(3)
    assert F.sparsity_count(torch.eye(9)).item() == F.l1_norm(torch.eye(9)).item() == 1
    assert F.sparsity_count(torch.zeros(2, 9)).item() == F.l1_norm(torch.zeros(2, 9)).item() == 0
