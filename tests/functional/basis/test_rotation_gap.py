import math

import pytest
import torch

from polysemantic.functional import (
    rotation_gap_by_frames,
    rotation_gap_closed_form,
    rotation_rank,
)
from tests import reference


def network(n_features, n_hidden, *, tied, n_instances=2):
    W_enc = torch.randn(n_instances, n_features, n_hidden, dtype=torch.float64)
    return W_enc, W_enc if tied else W_enc + torch.randn_like(W_enc)


def normals(count, n_features, n_hidden, *, tied):
    return torch.randn(count, n_hidden, rotation_rank(n_features, n_hidden, tied=tied), dtype=torch.float64)


def loss_on(x, l1=0.1):
    def loss(W_enc, W_dec):
        h = x @ W_enc
        c = torch.ones_like(h[:, 0]) if W_dec is W_enc else W_dec.norm(dim=1)
        error = (torch.relu(h @ W_dec.mT - 0.1) - x).square().sum(-1)
        return (error + l1 * (c[:, None] * h.abs()).sum(-1)).mean(-1)

    return loss


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [(3, 8), (5, 3)])
def test_the_gap_by_frames_has_the_mean_and_scatter_of_the_one_by_whole_rotations(size, tied):
    W_enc, W_dec = network(*size, tied=tied)
    loss = loss_on((torch.rand(2, 32, size[0]) < 0.3).double())
    count = 1500
    frames = torch.stack(
        [rotation_gap_by_frames([loss], W_enc, W_dec, G[None]) for G in normals(count, *size, tied=tied)]
    )
    rotations = reference.random_rotations(torch.randn(count, size[1], size[1], dtype=torch.float64))
    whole = torch.stack([reference.rotation_gap(loss, W_enc, W_dec, Q) for Q in rotations])
    error = ((frames.var(0) + whole.var(0)) / count).sqrt()
    assert ((frames.mean(0) - whole.mean(0)).abs() <= 5 * error).all()
    torch.testing.assert_close(frames.std(0), whole.std(0), rtol=0.2, atol=0)


@pytest.mark.usefixtures("unchecked")
def test_the_gap_by_frames_agrees_with_the_closed_form():
    W, _ = network(6, 9, tied=True)
    x = (torch.rand(2, 32, 6) < 0.3).double()
    gaps = torch.stack([rotation_gap_by_frames([loss_on(x)], W, W, G[None]) for G in normals(800, 6, 9, tied=True)])
    error = gaps.std(0) / math.sqrt(len(gaps))
    assert ((gaps.mean(0) - rotation_gap_closed_form(x @ W, l1=0.1)).abs() <= 5 * error).all()


def test_each_rotation_may_have_a_loss_of_its_own():
    W, _ = network(3, 4, tied=True)
    G = normals(2, 3, 4, tied=True)
    losses = [loss_on(torch.rand(2, 8, 3).double()) for _ in range(2)]
    single = [rotation_gap_by_frames([loss], W, W, g[None]) for loss, g in zip(losses, G, strict=True)]
    torch.testing.assert_close(rotation_gap_by_frames(losses, W, W, G), torch.stack(single).mean(0))


def test_bad_arguments_are_refused():
    W, _ = network(3, 4, tied=True)
    with pytest.raises(ValueError, match=r"`losses` must hold at least one loss, got none\."):
        rotation_gap_by_frames([], W, W, normals(0, 3, 4, tied=True))
    with pytest.raises(ValueError, match=r"`normals` must have the shape \(4, 3\), got \(4, 4\)\."):
        rotation_gap_by_frames([loss_on(torch.rand(2, 8, 3).double())], W, W, torch.randn(1, 4, 4))
