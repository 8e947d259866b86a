import math

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support.weights import SHAPES, normal


@pytest.mark.parametrize("shape", SHAPES)
def test_participation_ratio_matches_loops_tied_and_untied(shape):
    W_enc, W_dec = normal(*shape), normal(*shape, seed=1)
    for given, decoder in ((None, W_enc), (W_dec, W_dec)):
        expected = reference.per_instance(reference.participation_ratio, W_enc, decoder)
        torch.testing.assert_close(F.participation_ratio(W_enc, given), expected, equal_nan=True)


def test_participation_ratio_is_1_on_single_neurons_and_n_hidden_when_spread():
    assert F.participation_ratio(torch.eye(4)).item() == 1
    assert F.participation_ratio(torch.full((3, 4), 0.5)).item() == 4
    assert math.isnan(F.participation_ratio(torch.zeros(3, 4)).item())


def test_participation_ratio_does_not_depend_on_the_split_of_scales():
    W = normal(2, 8, 16)
    torch.testing.assert_close(F.participation_ratio(W / 8, W * 8), F.participation_ratio(W))
