import inspect

import pytest
import torch

from polysemantic.functional import (
    excess_cost,
    interference_cost,
    interference_sums,
    shares_neuron,
)
from tests import reference

SHAPES = [(1, 1, 1), (1, 7, 2), (2, 1, 3), (3, 20, 4)]


def sparse_inputs(shape, probability=0.4):
    return torch.rand(shape) * (torch.rand(shape) < probability)


@pytest.mark.parametrize("shape", SHAPES)
def test_interference_cost_matches_loops(shape):
    x, x_hat = sparse_inputs(shape), torch.rand(shape)
    cost = interference_cost(*interference_sums(x, x_hat))
    torch.testing.assert_close(cost, reference.interference_cost(x, x_hat), equal_nan=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_interference_sums_of_batches_add_up(shape):
    x, x_hat = sparse_inputs(shape), torch.rand(shape)
    parts = [interference_sums(*part) for part in zip(x.split(3, dim=1), x_hat.split(3, dim=1), strict=True)]
    for whole, *pieces in zip(interference_sums(x, x_hat), *parts, strict=True):
        torch.testing.assert_close(torch.stack(pieces).sum(0), whole)


def test_interference_sums_do_not_need_an_instance_axis():
    x, x_hat = sparse_inputs((9, 4)), torch.rand(9, 4)
    torch.testing.assert_close(interference_sums(x, x_hat)[0], interference_sums(x[None], x_hat[None])[0][0])


def test_a_zero_output_costs_one_and_a_perfect_output_nothing():
    x = torch.eye(3)
    apart = ~torch.eye(3, dtype=torch.bool)
    assert (interference_cost(*interference_sums(x, torch.zeros(3, 3)))[apart] == 1).all()
    assert (interference_cost(*interference_sums(x, x))[apart] == 0).all()


def test_a_pair_that_is_always_on_together_has_no_cost():
    x = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    assert interference_cost(*interference_sums(x, torch.rand(3, 2))).isnan().all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (2, 5, 1), (3, 6, 4)])
def test_shares_neuron_matches_loops(shape):
    w = torch.randn(shape)
    assert torch.equal(shares_neuron(w), reference.shares_neuron(w))


@pytest.mark.parametrize("n_features", [1, 2, 3, 6])
def test_excess_cost_matches_loops(n_features):
    cost = torch.rand(3, n_features, n_features, dtype=torch.float64)
    cost = (cost + cost.mT).masked_fill(cost + cost.mT < 0.5, torch.nan)
    shared = reference.shares_neuron(torch.randn(3, n_features, 2), threshold=1.0)
    torch.testing.assert_close(excess_cost(cost, shared), reference.excess_cost(cost, shared), equal_nan=True)


def test_excess_cost_takes_the_middle_of_an_even_number_of_pairs():
    cost = torch.zeros(4, 4)
    cost[2:, :2] = torch.tensor([[0.1, 0.2], [0.4, 0.9]])
    cost = cost + cost.mT
    shared = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).bool()
    assert excess_cost(cost, shared)[0, 1].item() == pytest.approx(-0.3)


def test_excess_cost_is_undefined_when_all_pairs_share_a_neuron():
    assert excess_cost(torch.rand(2, 3, 3), torch.ones(2, 3, 3, dtype=torch.bool)).isnan().all()


def test_mismatched_shapes_are_refused():
    # Unwrapped, because the tests' shape checks would speak first.
    with pytest.raises(ValueError, match=r"`x_hat` must have the shape of `x`, \(2, 3\), got \(3, 3\)\."):
        inspect.unwrap(interference_sums)(torch.rand(2, 3), torch.rand(3, 3))
    with pytest.raises(ValueError, match=r"`shared` must have the shape of `cost`, \(2, 2\), got \(3, 3\)\."):
        inspect.unwrap(excess_cost)(torch.rand(2, 2), torch.ones(3, 3, dtype=torch.bool))
