import jaxtyping
import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support.weights import SHAPES, normal


@pytest.mark.parametrize("shape", SHAPES)
def test_reconstruction_error_matches_loops(shape):
    x_hat, x = normal(*shape), normal(*shape, seed=1)
    expected = reference.per_instance(reference.reconstruction_error, x_hat, x)
    torch.testing.assert_close(F.reconstruction_error(x_hat, x), expected)


def test_reconstruction_error_rejects_shapes_that_differ(monkeypatch):
    # Users run without the type checker of the tests, which would speak first.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=r"`x_hat` must have the shape of `x`, \(3, 2\), got \(1, 2\)\."):
        F.reconstruction_error(torch.ones(1, 2), torch.ones(3, 2))
