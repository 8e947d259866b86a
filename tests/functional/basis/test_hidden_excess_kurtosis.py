import math

import pytest
import torch

from polysemantic.functional import (
    hidden_excess_kurtosis,
    hidden_excess_kurtosis_null,
    hidden_kurtosis_sums,
)
from tests import reference


def assert_within_5_sigma(samples, expected):
    """Mean over the first axis against its expectation; the last bits of a double are forgiven where nothing varies."""
    standard_error = samples.std(0) / math.sqrt(len(samples))
    assert ((samples.mean(0) - expected).abs() <= 5 * standard_error + 1e-9).all()


def sparse_network(n_instances, n_features, n_hidden, batch=32):
    x = (torch.rand(n_instances, batch, n_features) < 0.3).double()
    return x, torch.randn(n_instances, n_features, n_hidden, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 5), (1, 6, 1), (3, 7, 4)])
def test_hidden_excess_kurtosis_matches_loops(shape):
    h = torch.randn(shape) * (torch.rand(*shape[:2], 1) < 0.7)
    torch.testing.assert_close(hidden_excess_kurtosis(h), reference.hidden_excess_kurtosis(h), equal_nan=True)


def test_hidden_kurtosis_sums_of_batches_add_up():
    h = torch.randn(3, 8, 4)
    h[0] = 0
    h[1, :5] = 0
    for whole, first, second in zip(
        hidden_kurtosis_sums(h), hidden_kurtosis_sums(h[:, :3]), hidden_kurtosis_sums(h[:, 3:]), strict=True
    ):
        torch.testing.assert_close(first + second, whole)
    assert hidden_kurtosis_sums(h)[1].tolist() == [0, 3, 8]


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30])
def test_hidden_excess_kurtosis_does_not_depend_on_scale(scale):
    h = torch.randn(2, 5, 4)
    torch.testing.assert_close(hidden_excess_kurtosis(h * scale), hidden_excess_kurtosis(h))


def test_hidden_excess_kurtosis_runs_from_minus_two_to_width_minus_three():
    assert hidden_excess_kurtosis(torch.eye(6)[None]).tolist() == [3]
    assert hidden_excess_kurtosis(torch.tensor([[[1.0, -1.0, 1.0]]])).tolist() == pytest.approx([-2])
    assert hidden_excess_kurtosis(torch.zeros(1, 4, 3)).isnan().all()


@pytest.mark.parametrize("n_hidden", [1, 2, 8, 30])
def test_kurtosis_null_is_the_mean_over_sampled_rotations(n_hidden):
    x, W = sparse_network(2, 6, n_hidden)
    rotations = reference.random_rotations(torch.randn(1000, n_hidden, n_hidden, dtype=torch.float64))
    samples = torch.stack([hidden_excess_kurtosis(x @ W @ Q) for Q in rotations])
    assert_within_5_sigma(samples, hidden_excess_kurtosis_null(n_hidden))


def test_kurtosis_pooled_over_sparse_inputs_has_a_null_above_zero_that_depends_on_them():
    n_hidden = 8
    x, W = sparse_network(1, 6, n_hidden, batch=500)
    h = (x @ W)[0]
    null = 3 * n_hidden / (n_hidden + 2) * h.norm(dim=-1).pow(4).mean() / h.square().sum(-1).mean() ** 2 - 3
    rotations = reference.random_rotations(torch.randn(500, n_hidden, n_hidden, dtype=torch.float64))
    pooled = torch.stack([(h @ Q).pow(4).mean() / h.square().mean() ** 2 - 3 for Q in rotations])
    assert_within_5_sigma(pooled, null)
    assert null > 0


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"`n_hidden` must be at least 1, got 0\."):
        hidden_excess_kurtosis_null(0)
