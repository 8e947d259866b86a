import math

import pytest
import torch

from polysemantic.functional import (
    rotation_gap_closed_form,
)
from tests import reference


def assert_within_5_sigma(samples, expected):
    """Mean over the first axis against its expectation; the last bits of a double are forgiven where nothing varies."""
    standard_error = samples.std(0) / math.sqrt(len(samples))
    assert ((samples.mean(0) - expected).abs() <= 5 * standard_error + 1e-9).all()


def sparse_network(n_instances, n_features, n_hidden, batch=32):
    x = (torch.rand(n_instances, batch, n_features) < 0.3).double()
    return x, torch.randn(n_instances, n_features, n_hidden, dtype=torch.float64)


def loss_on(x, l1=0.1):
    """Loss of the design with a linear hidden layer, no noise, and a bias."""

    def loss(W_enc, W_dec):
        h = x @ W_enc
        c = torch.ones_like(h[:, 0]) if W_dec is W_enc else W_dec.norm(dim=1)
        error = (torch.relu(h @ W_dec.mT - 0.1) - x).square().sum(-1)
        return (error + l1 * (c[:, None] * h.abs()).sum(-1)).mean(-1)

    return loss


@pytest.mark.parametrize(("n_features", "n_hidden"), [(1, 1), (3, 2), (5, 8), (8, 5)])
def test_closed_rotation_gap_is_the_mean_over_sampled_rotations(n_features, n_hidden):
    x, W = sparse_network(2, n_features, n_hidden)
    rotations = reference.random_rotations(torch.randn(800, n_hidden, n_hidden, dtype=torch.float64))
    samples = torch.stack([reference.rotation_gap(loss_on(x), W, W, Q) for Q in rotations])
    assert_within_5_sigma(samples, rotation_gap_closed_form(x @ W, l1=0.1))


def test_untied_the_closed_rotation_gap_scales_with_a_decoder_whose_directions_are_equally_long():
    x, W_enc = sparse_network(2, 6, 4)
    W_dec = 3 * torch.linalg.qr(torch.randn(2, 6, 4, dtype=torch.float64)).Q
    rotations = reference.random_rotations(torch.randn(800, 4, 4, dtype=torch.float64))
    samples = torch.stack([reference.rotation_gap(loss_on(x), W_enc, W_dec, Q) for Q in rotations])
    assert_within_5_sigma(samples, 3 * rotation_gap_closed_form(x @ W_enc, l1=0.1))


def test_l1_of_the_closed_rotation_gap_may_vary_between_instances():
    h = torch.randn(3, 4, 5)
    gap = rotation_gap_closed_form(h, l1=torch.tensor([0.0, 1.0, 2.0]))
    one = rotation_gap_closed_form(h, l1=1.0)
    torch.testing.assert_close(gap, one * torch.tensor([0.0, 1.0, 2.0]))


def test_the_closed_rotation_gap_is_finite_for_wide_networks():
    # kappa_m tends to sqrt(2 m / pi); gamma itself overflows long before.
    gap = rotation_gap_closed_form(torch.eye(1, 4096)[None], l1=1.0)
    assert gap.item() == pytest.approx(math.sqrt(2 * 4096 / math.pi) - 1, rel=1e-3)
