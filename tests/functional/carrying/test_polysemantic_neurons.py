import functools

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support import weights
from tests.support.weights import SHAPES

normal = functools.partial(weights.normal, dtype=torch.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_polysemantic_neurons_in_the_band_match_loops(shape):
    w = 1.5 * normal(*shape)
    expected = reference.per_instance(lambda w: reference.polysemantic_neurons(w, low=0.8, high=1.2), w)
    torch.testing.assert_close(F.polysemantic_neurons_band(w), expected)


@pytest.mark.parametrize("low", [0.0, 1.3])
def test_the_band_must_not_be_empty(low):
    with pytest.raises(ValueError, match=rf"`low` must lie in \(0, high = 1\.2\], got {low}\."):
        F.polysemantic_neurons_band(torch.eye(2), low=low)
