import pytest
import torch

from polysemantic.functional import (
    ablate,
    disambiguation_by_ablation,
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


def test_ablation_takes_one_neuron_from_each_instance_and_leaves_the_original():
    W_enc, W_dec = torch.ones(2, 2, 3, 4)
    ablated = ablate(W_enc, W_dec, torch.tensor([3, 0]))
    for W in ablated:
        assert (W == 0).nonzero()[:, [0, 2]].unique(dim=0).tolist() == [[0, 3], [1, 0]]
    assert (W_enc == 1).all()
    tied_enc, tied_dec = ablate(W_enc, W_enc, torch.tensor([3, 0]))
    assert tied_enc is tied_dec


def test_a_neuron_that_does_not_exist_cannot_be_ablated():
    W = torch.ones(1, 2, 3)
    with pytest.raises(ValueError, match=r"`neuron` must lie in \[0, 3\), got \[3\]\."):
        ablate(W, W, torch.tensor([3]))
