import pytest
import torch

from polysemantic.callbacks.collisions.costs import interference_costs
from polysemantic.data import HalfSplit, IndependentBernoulli, OneHot
from polysemantic.functional import decode_collisions, interference_cost, interference_sums, live_collisions
from polysemantic.model.ensemble import Ensemble
from tests.support.training import train as train_module

INPUTS = [lambda n: IndependentBernoulli(n, 0.2, batch_size=32), OneHot, lambda n: HalfSplit(n, active_fraction=1 / 3)]


def trained(data, **options):
    """A few networks and all of their collisions, of any size."""
    module = train_module(data, (6, 4), Ensemble(5), max_steps=20, **options)
    codes = live_collisions(module.networks.W_enc.detach().abs() > 0.1)
    assert set(decode_collisions(codes, 6, 4).instance.tolist()) == set(range(5))
    return module, codes


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("data", INPUTS)
def test_a_cost_is_the_same_whichever_collisions_are_measured_beside_it(data, one_by_one):
    module, codes = trained(data)
    cost = interference_costs(module, codes, one_by_one=one_by_one)
    assert len(cost.unique()) > 5
    for held in ([2], [0, 1, 4], [0, 2, 4]):
        some = torch.isin(decode_collisions(codes, 6, 4).instance, torch.tensor(held))
        alone = interference_costs(module, codes[some], one_by_one=one_by_one)
        torch.testing.assert_close(alone, cost[some], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("options", [{}, {"tied": False, "bias": True, "act": "relu"}])
@pytest.mark.parametrize("data", INPUTS)
def test_a_cost_is_that_of_the_reconstructions_of_all_evaluation_draws(data, options, one_by_one):
    module, codes = trained(data, **options)
    x = torch.cat([module.evaluation_inputs(batch) for batch in module.data.val_dataloader()], 1)
    key = decode_collisions(codes, 6, 4)
    with torch.no_grad():
        whole = interference_cost(*interference_sums(x, module.networks(x)[1]))
    expected = whole[key.instance, key.feature_i, key.feature_j]
    cost = interference_costs(module, codes, one_by_one=one_by_one)
    torch.testing.assert_close(cost, expected, rtol=1e-5, atol=1e-9, equal_nan=True)


def test_without_a_choice_small_instances_are_measured_together():
    module, codes = trained(INPUTS[0])
    together = interference_costs(module, codes, one_by_one=False)
    torch.testing.assert_close(interference_costs(module, codes), together, rtol=0, atol=0, equal_nan=True)
