import pytest
import torch

from polysemantic.functional import (
    find_collisions,
    interference_sums,
    mean_over_collisions,
    price_collisions,
)
from tests import reference


def sparse_inputs(shape, probability=0.4):
    return torch.rand(shape) * (torch.rand(shape) < probability)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (2, 5, 1), (3, 6, 4)])
def test_priced_collisions_and_their_means_match_loops(shape, tied):
    W_enc = torch.randn(shape)
    W_dec = W_enc if tied else W_enc + 0.3 * torch.randn(shape)
    x = sparse_inputs((shape[0], 12, shape[1]))
    x_hat = torch.rand_like(x)
    priced = price_collisions(W_enc, W_dec, *interference_sums(x, x_hat))
    cost = reference.interference_cost(x, x_hat)
    w = torch.tensor([reference.effective_weight(*both) for both in zip(W_enc.tolist(), W_dec.tolist(), strict=True)])
    excess = reference.excess_cost(cost, reference.shares_neuron(w))
    for found, matrix in ((priced.cost, cost), (priced.excess, excess)):
        torch.testing.assert_close(found, matrix, equal_nan=True)
        for instance, mean in enumerate(mean_over_collisions(found, priced.collisions).tolist()):
            pairs = reference.collisions(W_enc[instance].tolist(), W_dec[instance].tolist())
            values = [matrix[instance, i, j].item() for _, i, j, _ in pairs]
            assert mean == pytest.approx(reference.mean([v for v in values if v == v]), nan_ok=True)


def test_a_mean_over_chosen_collisions_leaves_the_others_out():
    collisions = find_collisions(torch.ones(1, 3, 1))
    values = torch.tensor([[[0.0, 1.0, 2.0], [1.0, 0.0, 6.0], [2.0, 6.0, 0.0]]])
    chosen = torch.tensor([True, False, True])
    assert mean_over_collisions(values, collisions, chosen).tolist() == [3.5]
    assert mean_over_collisions(values, collisions, ~chosen & chosen).isnan().all()
