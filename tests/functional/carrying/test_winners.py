import math

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support.weights import SHAPES, normal


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["winner_was_largest", "winner_kept_sign"])
def test_winner_prediction_matches_loops(name, shape):
    w_start = normal(*shape)
    w_end = w_start + normal(*shape, seed=1)
    expected = reference.per_instance(getattr(reference, name), w_start, w_end)
    torch.testing.assert_close(getattr(F, name)(w_start, w_end), expected, equal_nan=True)


def test_an_initial_weight_of_zero_has_no_sign_that_a_winner_could_keep():
    end = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert F.winner_kept_sign(torch.zeros(2, 2), end).item() == 0


def test_networks_that_only_grow_keep_their_winners_and_signs():
    w = torch.eye(4) - 0.3
    assert F.winner_was_largest(w, 2 * w).item() == F.winner_kept_sign(w, 2 * w).item() == 1
    assert F.winner_kept_sign(-w, w).item() == 0


def test_without_a_final_winner_there_is_nothing_to_predict():
    assert math.isnan(F.winner_was_largest(torch.eye(3), torch.zeros(3, 3)).item())
    assert math.isnan(F.winner_kept_sign(torch.eye(3), torch.zeros(3, 3)).item())
