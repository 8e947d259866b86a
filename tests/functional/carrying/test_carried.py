import functools
import math

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support import weights
from tests.support.weights import SHAPES

normal = functools.partial(weights.normal, dtype=torch.float32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["coverage", "carriers", "polysemantic_neurons"])
def test_counts_of_carried_features_match_loops(name, shape):
    w = normal(*shape)
    expected = reference.per_instance(getattr(reference, name), w)
    torch.testing.assert_close(getattr(F, name)(w), expected, equal_nan=True)


@pytest.mark.parametrize("share", [0.1, 0.9], ids=["few neurons carry", "most neurons carry"])
def test_counts_are_the_same_however_many_neurons_carry_anything(share):
    w = 2 * normal(2, 3, 8, 40) * (torch.rand(2, 3, 1, 40, generator=torch.Generator().manual_seed(2)) < share)
    positive, negative = (w >= 0.5).sum(-2), (w <= -0.5).sum(-2)
    assert torch.equal(F.carried_signs(w).positive, positive)
    assert torch.equal(F.carried_signs(w).negative, negative)
    band = ((w.abs() >= 0.8) & (w.abs() <= 1.2)).sum(-2)
    assert torch.equal(F.polysemantic_neurons_band(w), (band >= 2).sum(-1))


def test_a_weight_at_the_threshold_is_carried():
    assert F.carried(torch.tensor([[0.5, -0.5, 0.4999]])).tolist() == [[True, True, False]]


def test_a_dead_network_covers_and_represents_nothing_and_has_no_carriers():
    w = torch.zeros(3, 4)
    assert F.coverage(w).item() == F.represented(w).item() == F.polysemantic_neurons(w).item() == 0
    assert math.isnan(F.carriers(w).item())


def test_carriers_flags_blocks_of_neurons_that_share_features():
    block = torch.tensor([[0.7, 0.7], [0.7, -0.7]])
    assert F.carriers(block).item() == 2
    assert F.carriers(torch.eye(2)).item() == 1


@pytest.mark.parametrize("threshold", [0.0, -0.5, math.nan])
@pytest.mark.parametrize("measure", [F.carried, F.coverage, F.carriers, F.polysemantic_neurons, F.represented])
def test_a_threshold_must_be_positive(measure, threshold):
    with pytest.raises(ValueError, match=rf"`threshold` must be positive, got {threshold}\."):
        measure(torch.eye(2), threshold=threshold)
