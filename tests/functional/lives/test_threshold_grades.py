import math

import pytest
import torch

from polysemantic.functional import Grades, effective_weight, large_weights

THRESHOLDS = 0.3, 0.5, 0.7


EDGES = torch.tensor(THRESHOLDS)


def grade(w):
    """How many thresholds a weight is past, and on which side; nan is like nothing else."""
    past = sum(abs(w) >= edge for edge in EDGES.tolist())
    return math.copysign(past, w) if math.isfinite(w) else str(w)  # 0 equals -0


def grades(W_enc, W_dec):
    return [grade(w) for w in effective_weight(W_enc, W_dec).flatten().tolist()]


@pytest.mark.parametrize("tied", [True, False])
def test_grades_hold_until_a_weight_passes_a_threshold(tied):
    torch.manual_seed(0)
    W = torch.randn(3, 5, 4) / 2
    W_dec = None if tied else torch.randn(3, 5, 4).abs() * W.sign()
    before, held = grades(W, W_dec), Grades.of(large_weights(W, W_dec), *THRESHOLDS)
    assert held.hold(W, W_dec)
    found = {True: 0, False: 0}
    for _ in range(300):
        moved = W + torch.randn_like(W) * (torch.rand_like(W) < 0.05) * torch.rand(1)
        assert held.hold(moved, W_dec) == (grades(moved, W_dec) == before)
        found[held.hold(moved, W_dec)] += 1
    assert min(found.values()) > 50


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("at", [0.1, *THRESHOLDS, 0.9])
def test_grades_change_just_at_a_threshold_and_where_a_weight_is_no_number(at, sign):
    value = sign * torch.tensor(at)
    nearly = torch.nextafter(value, torch.tensor(0.0))
    W = torch.zeros(2, 3, 2)
    W[1, 2, 0] = value
    held = Grades.of(large_weights(W), *THRESHOLDS)
    for other in (nearly, torch.tensor(math.inf), torch.tensor(-math.inf), torch.tensor(math.nan), -value):
        moved = W.clone()
        moved[1, 2, 0] = other
        assert held.hold(moved) == (grade(other.item()) == grade(value.item())), other
        assert not held.hold(moved.index_fill(0, torch.tensor([0]), math.nan))
    assert held.hold(W)


def test_an_instance_that_has_diverged_and_is_frozen_changes_no_more():
    W = torch.randn(2, 3, 4)
    W[0] = math.nan
    held = Grades.of(large_weights(W), *THRESHOLDS)
    assert held.hold(W)
    assert not held.hold(torch.randn(2, 3, 4))
    W[1, 0, 0] = math.nan
    assert not held.hold(W)
