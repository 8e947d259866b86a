import math

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support.weights import SHAPES, normal


@pytest.mark.parametrize("shape", SHAPES)
def test_interference_matches_loops_tied_and_untied(shape):
    W_enc, W_dec = normal(*shape), normal(*shape, seed=1)
    for given, decoder in ((None, W_enc), (W_dec, W_dec)):
        expected = reference.per_instance(reference.interference, W_enc, decoder)
        torch.testing.assert_close(F.interference(W_enc, given), expected, equal_nan=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_weighted_interference_matches_loops_and_shares_a_cooccurrence(shape):
    W_enc, W_dec = normal(*shape), normal(*shape, seed=1)
    cooccurrence = normal(shape[-2], shape[-2], seed=2).abs()
    each = cooccurrence.expand(*shape[:-2], -1, -1)
    expected = reference.per_instance(reference.weighted_interference, W_enc, W_dec, each)
    torch.testing.assert_close(F.weighted_interference(W_enc, W_dec, each), expected, equal_nan=True)
    torch.testing.assert_close(F.weighted_interference(W_enc, W_dec, cooccurrence), expected, equal_nan=True)


def test_interference_of_features_that_never_meet_is_undefined():
    assert math.isnan(F.weighted_interference(torch.eye(3), None, torch.eye(3)).item())


def test_interference_of_features_that_meet_is_told_from_the_others():
    W = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    meet, others = torch.zeros(3, 3), torch.zeros(3, 3)
    meet[0, 1] = meet[1, 0] = 0.1
    others[0, 2] = others[2, 0] = 0.1
    assert F.weighted_interference(W, None, meet).item() == 1
    assert F.weighted_interference(W, None, others).item() == 0
