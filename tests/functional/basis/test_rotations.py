import pytest
import torch

from polysemantic.functional import (
    rotated_networks,
    rotation_rank,
)


def network(n_features, n_hidden, *, tied, n_instances=2):
    W_enc = torch.randn(n_instances, n_features, n_hidden, dtype=torch.float64)
    return W_enc, W_enc if tied else W_enc + torch.randn_like(W_enc)


def normals(count, n_features, n_hidden, *, tied):
    return torch.randn(count, n_hidden, rotation_rank(n_features, n_hidden, tied=tied), dtype=torch.float64)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (3, 8), (8, 3), (4, 8)])
def test_rotations_keep_all_overlaps_within_and_between_the_matrices(size, tied):
    W_enc, W_dec = network(*size, tied=tied)
    for rotated_enc, rotated_dec in rotated_networks(W_enc, W_dec, normals(3, *size, tied=tied)):
        assert (rotated_dec is rotated_enc) == tied
        for a, b, c, d in (
            (rotated_enc, rotated_enc, W_enc, W_enc),
            (rotated_enc, rotated_dec, W_enc, W_dec),
            (rotated_dec, rotated_dec, W_dec, W_dec),
        ):
            torch.testing.assert_close(a @ b.mT, c @ d.mT)


def test_weights_without_full_rank_are_rotated_too():
    W = torch.zeros(1, 3, 4)
    W[0, 0, 0] = W[0, 2, 0] = 1
    (rotated, _), *_ = rotated_networks(W, W, torch.randn(1, 4, 3))
    torch.testing.assert_close(rotated @ rotated.mT, W @ W.mT)
