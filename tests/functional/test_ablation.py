import pytest
import torch

from polysemantic.functional import (
    ablate,
    collision_places,
    collision_weights,
    disambiguation_by_ablation,
    effective_weight,
    interference_sums,
    large_weights,
    live_collisions,
    one_hot_pair_sums,
    pair_sums,
)
from tests import reference

HALVES = torch.tensor([1] * 16 + [-1] * 16)


@pytest.fixture
def x():
    """Inputs with one half at random and exactly half of its features on."""
    chosen = torch.rand(1000, 16).argsort(dim=1) < 8
    first = torch.rand(1000, 1) < 0.5
    return torch.cat([chosen & first, chosen & ~first], dim=1).float()[None]


@pytest.fixture
def cooccurrence():
    within = torch.full((16, 16), 0.5 * 8 / 16 * 7 / 15).fill_diagonal_(0.25)
    return torch.block_diag(within, within)[None]


def found(x, W, b_dec, cooccurrence):
    def reconstruct(W_enc, W_dec):
        return torch.relu(x @ W_enc @ W_dec.mT + b_dec)

    return disambiguation_by_ablation(reconstruct, x, W, W, HALVES, cooccurrence)


def test_the_disambiguation_neuron_of_the_constructed_solution_is_confirmed(x, cooccurrence):
    W, b_dec = reference.disambiguation_solution(32, 20)
    neuron, energy, rise = found(x, W[None], b_dec, cooccurrence)
    assert neuron.tolist() == [0]
    assert energy.item() == pytest.approx(2)
    # Both outputs are 1/2 where one feature is 1: (1/4 + 1/4) / 1, and 0 before.
    assert rise.item() == pytest.approx(0.5)


def test_the_constructed_solution_without_its_neuron_has_none(x, cooccurrence):
    W, b_dec = reference.disambiguation_solution(32, 20)
    W, _ = ablate(W[None], W[None], torch.tensor([0]))
    neuron, energy, rise = found(x, W, b_dec, cooccurrence)
    assert neuron.tolist() == [-1]
    assert energy.item() < 1.5
    assert rise.isnan().all()


def test_a_one_hot_network_has_no_disambiguation_neuron(x, cooccurrence):
    neuron, energy, rise = found(x, torch.eye(32)[None], torch.zeros(32), cooccurrence)
    assert neuron.tolist() == [-1]
    assert energy.item() == pytest.approx(1 / 32)
    assert rise.isnan().all()


def test_a_neuron_that_tells_the_halves_apart_for_nothing_is_not_confirmed(x, cooccurrence):
    # Energy 32 s^2 = 2 on the last neuron, but no feature shares its own neuron.
    W = torch.cat([torch.eye(32), HALVES[:, None] * (2 / 32) ** 0.5], dim=1)[None]
    neuron, energy, _ = found(x, W, torch.zeros(32), cooccurrence)
    assert energy.item() >= 1.5
    assert neuron.tolist() == [-1]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 2), (4, 5, 3)])
def test_sums_of_chosen_pairs_are_those_of_the_whole_matrix(shape):
    x = torch.rand(shape) * (torch.rand(shape) < 0.4)
    x_hat = torch.rand(shape)
    instance, i, j = (torch.randint(size, (20,)) for size in (shape[0], shape[2], shape[2]))
    for chosen, whole in zip(pair_sums(x, x_hat, instance, i, j), interference_sums(x, x_hat), strict=True):
        torch.testing.assert_close(chosen, whole[instance, i, j])


def test_sums_of_pairs_over_every_feature_once_need_no_products():
    x, x_hat = torch.eye(5).expand(3, 5, 5), torch.rand(3, 5, 5)
    pairs = torch.tensor([0, 2, 2]), torch.tensor([0, 1, 3]), torch.tensor([4, 2, 0])
    for fast, slow in zip(one_hot_pair_sums(x_hat, *pairs), pair_sums(x, x_hat, *pairs), strict=True):
        torch.testing.assert_close(fast, slow)


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
