import pytest
import torch

from polysemantic.functional import (
    classify_same_sign,
    find_collisions,
)
from tests import reference


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 1), (3, 6, 4)])
def test_same_sign_kinds_match_loops(shape, tied):
    n_instances, n_features, _ = shape
    W_enc = torch.randn(shape)
    W_dec = W_enc if tied else W_enc + 0.5 * torch.randn(shape)
    excess = torch.rand(n_instances, n_features, n_features) * 0.1
    # On together or not at all, for about half of the pairs.
    cooccurrence = torch.where(torch.rand(excess.shape) < 0.5, 0.5, 0.1)
    cooccurrence.diagonal(dim1=-2, dim2=-1).fill_(0.5)
    collisions = find_collisions(W_enc, W_dec)
    kinds = classify_same_sign(collisions, W_enc, W_dec, excess, cooccurrence)
    for row, *flags in zip(zip(*(c.tolist() for c in collisions), strict=True), *kinds, strict=True):
        kind = reference.same_sign_kind(row, W_enc, W_dec, excess, cooccurrence)
        assert flags == [kind == "compensated", kind == "disambiguated", kind == "costly"]


def test_the_loops_that_same_sign_kinds_are_compared_with_see_every_kind():
    W = torch.randn(8, 6, 4)
    excess, cooccurrence = torch.rand(8, 6, 6) * 0.1, 0.5 * torch.eye(6).expand(8, 6, 6)
    kinds = classify_same_sign(find_collisions(W), W, W, excess, cooccurrence)
    assert all(kind.any() for kind in kinds)
    assert (torch.stack(kinds).sum(0) == (~find_collisions(W).opposite_sign)).all()


def test_a_collision_cancelled_in_one_direction_only_is_not_compensated():
    W_enc = torch.tensor([[[1.0, 1.0], [1.0, 0.0]]])
    W_dec = torch.tensor([[[1.0, 0.0], [1.0, -1.0]]])
    assert (W_enc @ W_dec.mT)[0, 0, 1] == 0
    assert (W_enc @ W_dec.mT)[0, 1, 0] == 1
    excess, cooccurrence = torch.full((1, 2, 2), 0.5), 0.1 * torch.eye(2)[None]
    kinds = classify_same_sign(find_collisions(W_enc, W_dec), W_enc, W_dec, excess, cooccurrence)
    assert [kind.tolist() for kind in kinds] == [[False], [False], [True]]


def test_a_pair_never_observed_apart_counts_as_costly():
    W = torch.ones(1, 2, 1)
    kinds = classify_same_sign(find_collisions(W), W, W, torch.full((1, 2, 2), torch.nan), torch.full((1, 2, 2), 0.1))
    assert kinds.costly.tolist() == [True]
