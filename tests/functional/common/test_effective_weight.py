import functools

import jaxtyping
import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support import weights
from tests.support.weights import SHAPES

normal = functools.partial(weights.normal, dtype=torch.float32)


def test_tied_effective_weight_is_the_encoder():
    W = normal(3, 2)
    assert F.effective_weight(W) is W


@pytest.mark.parametrize("shape", SHAPES)
def test_effective_weight_matches_loops(shape):
    W_enc, W_dec = normal(*shape), normal(*shape, seed=1)
    expected = reference.per_instance(reference.effective_weight, W_enc, W_dec)
    torch.testing.assert_close(F.effective_weight(W_enc, W_dec).double(), expected, rtol=1e-5, atol=1e-6)


def test_effective_weight_is_the_same_whatever_the_split_of_scales():
    W = normal(4, 8, 16)
    torch.testing.assert_close(F.effective_weight(W / 8, W * 8), W)


def test_effective_weight_rejects_shapes_that_differ(monkeypatch):
    # Users run without the type checker of the tests, which would speak first.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=r"`W_dec` must have the shape of `W_enc`, \(3, 2\), got \(1, 2\)\."):
        F.effective_weight(normal(3, 2), normal(1, 2))
