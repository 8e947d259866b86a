import math

import jaxtyping
import pytest
import scipy.stats
import torch

from polysemantic import functional as F
from tests import reference

SHAPES = [(1, 1), (1, 6), (6, 1), (1, 8, 16), (3, 8, 5), (2, 3, 12, 4)]


def normal(*shape, seed=0):
    return 0.6 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["sparsity_count", "l1_norm"])
def test_sparsification_matches_loops(name, shape):
    w = normal(*shape).pow(5)
    torch.testing.assert_close(getattr(F, name)(w), reference.per_instance(getattr(reference, name), w))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["winner_was_largest", "winner_kept_sign"])
def test_winner_prediction_matches_loops(name, shape):
    w_start = normal(*shape)
    w_end = w_start + normal(*shape, seed=1)
    expected = reference.per_instance(getattr(reference, name), w_start, w_end)
    torch.testing.assert_close(getattr(F, name)(w_start, w_end), expected, equal_nan=True)


def test_an_initial_weight_of_zero_has_no_sign_that_a_winner_could_keep():
    end = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert F.winner_kept_sign(torch.zeros(2, 2), end).item() == 0


@pytest.mark.parametrize("n", [1, 8, 19])
def test_flags_in_bits_are_the_flags(n):
    flags = torch.rand(3, 2, n, generator=torch.Generator().manual_seed(n)) < 0.5
    octets = F.pack_flags(flags)
    assert octets.shape == (3, 2, -(-n // 8))
    assert torch.equal(F.unpack_flags(octets, n), flags)
    index = torch.arange(n).flip(0).expand(3, 2, n)
    assert torch.equal(F.packed_flag(octets, index), flags.flip(-1))


def test_networks_that_only_grow_keep_their_winners_and_signs():
    w = torch.eye(4) - 0.3
    assert F.winner_was_largest(w, 2 * w).item() == F.winner_kept_sign(w, 2 * w).item() == 1
    assert F.winner_kept_sign(-w, w).item() == 0


def test_without_a_final_winner_there_is_nothing_to_predict():
    assert math.isnan(F.winner_was_largest(torch.eye(3), torch.zeros(3, 3)).item())
    assert math.isnan(F.winner_kept_sign(torch.eye(3), torch.zeros(3, 3)).item())


def test_sparsification_runs_from_all_neurons_to_one():
    assert F.sparsity_count(torch.full((2, 9), 1 / 3)).item() == 9
    assert F.l1_norm(torch.full((2, 9), 1 / 3, dtype=torch.float64)).item() == pytest.approx(3)
    assert F.sparsity_count(torch.eye(9)).item() == F.l1_norm(torch.eye(9)).item() == 1
    assert F.sparsity_count(torch.zeros(2, 9)).item() == F.l1_norm(torch.zeros(2, 9)).item() == 0


@pytest.mark.parametrize(
    ("slots", "excess"),
    [
        # The (neuron, sign) of each feature, on 3 neurons.
        ([(0, 1), (1, 1), (2, -1)], 0),  # none shared
        ([(0, 1), (0, -1), (1, 1), (2, 1)], 0),  # one forced
        ([(0, 1), (0, -1), (1, 1)], 1),  # one with a neuron to spare
        ([(0, 1), (0, -1), (1, 1), (1, -1)], 1),  # one forced, one with a neuron to spare
        ([(0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1)], 0),  # all forced
        ([(0, 1), (0, 1), (0, -1), (1, 1), (2, 1)], -1),  # three on one neuron
    ],
)
@pytest.mark.parametrize("scale", [None, 16.0])
def test_excess_counts_the_polysemantic_neurons_that_need_not_be(slots, excess, scale):
    W = torch.zeros(len(slots), 3)
    for feature, (neuron, sign) in enumerate(slots):
        W[feature, neuron] = sign
    W_enc, W_dec = (W, None) if scale is None else (W / scale, W * scale)
    assert F.excess_polysemantic_neurons(W_enc, W_dec).item() == excess


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


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_mean_interval_matches_scipy_and_leaves_out_nan(level):
    values = normal(3, 7)
    values[1, 2:] = torch.nan
    interval = F.mean_interval(values, level)
    for at, row in enumerate(values):
        kept = row[~row.isnan()].numpy()
        low, high = scipy.stats.t.interval(level, len(kept) - 1, kept.mean(), scipy.stats.sem(kept))
        assert interval.mean[at].item() == pytest.approx(kept.mean())
        assert interval.half_width[at].item() == pytest.approx((high - low) / 2)


@pytest.mark.parametrize(("values", "mean"), [([], math.nan), ([math.nan], math.nan), ([2.0], 2), ([2, math.nan], 2)])
def test_an_interval_needs_two_values(values, mean):
    interval = F.mean_interval(torch.tensor(values, dtype=torch.float64))
    assert interval.mean.item() == pytest.approx(mean, nan_ok=True)
    assert math.isnan(interval.half_width.item())


def test_equal_values_have_an_interval_of_no_width():
    assert F.mean_interval(torch.full((5,), 3.0)).half_width.item() == 0


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_a_level_must_be_a_probability(level):
    with pytest.raises(ValueError, match=rf"`level` must lie in \(0, 1\), got {level}\."):
        F.mean_interval(torch.ones(3), level)
