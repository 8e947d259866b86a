import math

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support.weights import SHAPES, normal


@pytest.mark.parametrize("shape", SHAPES)
def test_feature_dimensionality_matches_loops(shape):
    w = normal(*shape)
    expected = reference.per_instance(reference.feature_dimensionality, w)
    torch.testing.assert_close(F.feature_dimensionality(w), expected, equal_nan=True, rtol=1e-6, atol=1e-5)


def test_feature_dimensionalities_add_up_to_the_rank_of_a_tight_frame():
    angle = 2 * math.pi / 5 * torch.arange(5, dtype=torch.float64)
    D = F.feature_dimensionality(torch.stack([angle.cos(), angle.sin()], -1))
    torch.testing.assert_close(D, torch.full((5,), 2 / 5, dtype=torch.float64))
