import pytest
import torch

from polysemantic.functional import (
    ablate,
    classify_same_sign,
    disambiguation_neurons,
    excess_cost,
    find_collisions,
    interference_cost,
    interference_sums,
    partition_concentration,
    partition_energies,
    partition_energy,
    shares_neuron,
)
from tests import reference

N_FEATURES, N_HIDDEN = 32, 20


HALVES = torch.tensor([1] * 16 + [-1] * 16)


@pytest.fixture
def half_split():
    """Inputs with one half at random and exactly half of its features on."""
    chosen = torch.rand(2000, 16).argsort(dim=1) < 8
    first = torch.rand(2000, 1) < 0.5
    return torch.cat([chosen & first, chosen & ~first], dim=1).float()[None]


def half_split_cooccurrence():
    within = torch.full((16, 16), 0.5 * 8 / 16 * 7 / 15).fill_diagonal_(0.25)
    return torch.block_diag(within, within)[None]


@pytest.fixture
def solution():
    W, b_dec = reference.disambiguation_solution(N_FEATURES, N_HIDDEN)
    return W[None], b_dec


def classified(x, W, b_dec, W_ablated=None):
    network = W if W_ablated is None else W_ablated
    x_hat = torch.relu(x @ network @ network.mT + b_dec)
    cost = interference_cost(*interference_sums(x, x_hat))
    excess = excess_cost(cost, shares_neuron(W)).float()
    collisions = find_collisions(W)
    return cost, collisions, classify_same_sign(collisions, network, network, excess, half_split_cooccurrence())


def test_the_constructed_solution_is_lossless_and_all_its_collisions_are_disambiguated(solution, half_split):
    cost, collisions, kinds = classified(half_split, *solution)
    assert (cost[~cost.isnan()] == 0).all()
    assert collisions.instance.numel() == N_FEATURES // 2
    assert kinds.disambiguated.all()
    assert not (kinds.compensated | kinds.costly).any()


def test_the_constructed_solution_has_one_disambiguation_neuron_of_energy_two(solution):
    W, _ = solution
    energies = partition_energies(W, W, HALVES)
    assert energies[0, 0].item() == pytest.approx(2)
    assert disambiguation_neurons(energies).nonzero().tolist() == [[0, 0]]
    # The others carry one feature of each half with the same sign: they cancel.
    assert partition_energy(energies).item() == pytest.approx(2)
    assert partition_concentration(energies).item() == pytest.approx(1)


def test_without_its_disambiguation_neuron_every_collision_of_the_constructed_solution_is_costly(solution, half_split):
    W, b_dec = solution
    energies = partition_energies(W, W, HALVES)
    ablated, _ = ablate(W, W, energies.argmax(-1))
    cost, collisions, kinds = classified(half_split, W, b_dec, ablated)
    at_collisions = cost[collisions.instance, collisions.feature_i, collisions.feature_j]
    # Both outputs are 1/2 where one feature is 1: (1/4 + 1/4) / 1.
    torch.testing.assert_close(at_collisions, torch.full_like(at_collisions, 0.5))
    assert kinds.costly.all()


def test_partition_energy_survives_rotation_and_concentration_does_not(solution):
    W, _ = solution
    Q = reference.random_rotations(torch.randn(N_HIDDEN, N_HIDDEN))
    energies = partition_energies(W @ Q, W @ Q, HALVES)
    assert partition_energy(energies).item() == pytest.approx(2, rel=1e-5)
    assert partition_concentration(energies).item() < 0.9


def test_a_one_hot_network_shows_no_disambiguation():
    W = torch.eye(N_FEATURES)[None]
    energies = partition_energies(W, W, HALVES)
    torch.testing.assert_close(energies, torch.full((1, N_FEATURES), 1 / N_FEATURES))
    assert not disambiguation_neurons(energies).any()
    assert partition_concentration(energies).item() == pytest.approx(1 / N_FEATURES)
    excess = torch.zeros(1, N_FEATURES, N_FEATURES)
    kinds = classify_same_sign(find_collisions(W), W, W, excess, half_split_cooccurrence())
    assert [len(kind) for kind in kinds] == [0, 0, 0]


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (1, 4, 1), (3, 6, 5)])
def test_partition_energies_match_loops(shape):
    W_enc, W_dec = torch.randn(2, *shape)
    signs = torch.randint(2, shape[1:2]) * 2 - 1
    torch.testing.assert_close(
        partition_energies(W_enc, W_dec, signs), reference.partition_energies(W_enc, W_dec, signs)
    )


def test_partition_concentration_is_undefined_without_energy():
    assert partition_concentration(torch.tensor([[0.0, 0.0], [1.0, -1.0]])).isnan().all()


def test_signs_of_a_partition_must_be_signs():
    W = torch.ones(1, 2, 3)
    with pytest.raises(ValueError, match=r"`signs` must hold only \+1 and -1, got \[1, 0\]\."):
        partition_energies(W, W, torch.tensor([1, 0]))
