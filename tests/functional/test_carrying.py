import math

import jaxtyping
import pytest
import torch

from polysemantic import functional as F
from tests import reference

SHAPES = [(1, 1), (1, 6), (6, 1), (1, 8, 16), (3, 8, 5), (2, 3, 12, 4)]


def normal(*shape, seed=0):
    return 0.6 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


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


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["coverage", "carriers", "polysemantic_neurons"])
def test_counts_of_carried_features_match_loops(name, shape):
    w = normal(*shape)
    expected = reference.per_instance(getattr(reference, name), w)
    torch.testing.assert_close(getattr(F, name)(w), expected, equal_nan=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_polysemantic_neurons_in_the_band_match_loops(shape):
    w = 1.5 * normal(*shape)
    expected = reference.per_instance(lambda w: reference.polysemantic_neurons(w, low=0.8, high=1.2), w)
    torch.testing.assert_close(F.polysemantic_neurons_band(w), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_represented_matches_loops_tied_and_untied(shape):
    W_enc, W_dec = normal(*shape), normal(*shape, seed=1)
    for decoder in (W_enc, W_dec):
        expected = reference.per_instance(reference.represented, W_enc, decoder)
        torch.testing.assert_close(F.represented(W_enc, decoder), expected)
    torch.testing.assert_close(F.represented(W_enc), F.represented(W_enc, W_enc))


@pytest.mark.parametrize("share", [0.1, 0.9], ids=["few neurons carry", "most neurons carry"])
def test_counts_are_the_same_however_many_neurons_carry_anything(share):
    w = 2 * normal(2, 3, 8, 40) * (torch.rand(2, 3, 1, 40, generator=torch.Generator().manual_seed(2)) < share)
    positive, negative = (w >= 0.5).sum(-2), (w <= -0.5).sum(-2)
    assert torch.equal(F.carried_signs(w).positive, positive)
    assert torch.equal(F.carried_signs(w).negative, negative)
    band = ((w.abs() >= 0.8) & (w.abs() <= 1.2)).sum(-2)
    assert torch.equal(F.polysemantic_neurons_band(w), (band >= 2).sum(-1))


def test_a_weight_at_the_threshold_is_carried():
    assert F.carried(torch.tensor([[0.5, -0.5, 0.4999]])).tolist() == [[True, True, False]]


def test_a_dead_network_covers_and_represents_nothing_and_has_no_carriers():
    w = torch.zeros(3, 4)
    assert F.coverage(w).item() == F.represented(w).item() == F.polysemantic_neurons(w).item() == 0
    assert math.isnan(F.carriers(w).item())


def test_a_spread_out_code_is_represented_but_not_covered():
    hadamard = torch.tensor([[1.0]])
    for _ in range(4):
        hadamard = torch.cat([torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)])
    w = hadamard / 4
    assert F.represented(w).item() == 1
    assert F.coverage(w).item() == F.polysemantic_neurons(w).item() == 0


def test_carriers_flags_blocks_of_neurons_that_share_features():
    block = torch.tensor([[0.7, 0.7], [0.7, -0.7]])
    assert F.carriers(block).item() == 2
    assert F.carriers(torch.eye(2)).item() == 1


@pytest.mark.parametrize("threshold", [0.0, -0.5, math.nan])
@pytest.mark.parametrize("measure", [F.carried, F.coverage, F.carriers, F.polysemantic_neurons, F.represented])
def test_a_threshold_must_be_positive(measure, threshold):
    with pytest.raises(ValueError, match=rf"`threshold` must be positive, got {threshold}\."):
        measure(torch.eye(2), threshold=threshold)


@pytest.mark.parametrize("low", [0.0, 1.3])
def test_the_band_must_not_be_empty(low):
    with pytest.raises(ValueError, match=rf"`low` must lie in \(0, high = 1\.2\], got {low}\."):
        F.polysemantic_neurons_band(torch.eye(2), low=low)
