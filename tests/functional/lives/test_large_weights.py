import pytest
import torch

from polysemantic.functional import (
    collision_places,
    collision_weights,
    effective_weight,
    large_weights,
    live_collisions,
)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 9.0])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (3, 6, 5)])
def test_large_weights_are_all_those_above_the_threshold(shape, threshold, tied):
    W_enc = torch.randn(shape)
    W_dec = None if tied else torch.randn(shape)
    w = effective_weight(W_enc, W_dec)
    large = large_weights(W_enc, W_dec, threshold)
    assert (large.place.diff() > 0).all()
    assert large.finite.all()
    expected = torch.where(w.abs() >= threshold, w, 0).mT.flatten()
    assert torch.equal(torch.zeros_like(expected).index_put((large.place,), large.value), expected)
    codes = live_collisions(w.abs() >= threshold)
    both = torch.stack(collision_weights(large, codes))
    assert torch.equal(both, w.mT.flatten()[torch.stack(collision_places(codes, shape[1]))])


def test_weights_that_are_not_finite_mark_their_instance():
    W = torch.ones(3, 2, 2)
    W[0, 1, 0], W[2, 0, 1] = torch.nan, torch.inf
    assert large_weights(W).finite.tolist() == [False, True, False]


def test_a_threshold_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"`threshold` must be at least 0, got -1\.0\."):
        large_weights(torch.ones(1, 2, 2), threshold=-1.0)
