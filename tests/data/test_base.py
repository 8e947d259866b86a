from __future__ import annotations

import torch

from polysemantic import random
from polysemantic.data import (
    IndependentBernoulli,
    KHot,
)
from polysemantic.model.ensemble import Ensemble
from tests import reference


def test_an_active_feature_is_above_zero_even_where_its_draw_is_zero():
    # The keys that `activate` folds for its purpose 0 into those whose first 64 random bits are all 0.
    folded = reference.splitmix64_unmix(reference.key_that_draws(0) % 2**64)
    keys = random.Keys(torch.tensor([reference.signed(folded ^ reference.splitmix64_mix(1))]))
    assert random.uniform(keys.fold(0), 2).tolist() == [[0, 0]]
    on = torch.ones(1, 1, 2, dtype=torch.bool)
    assert KHot(4, 4, magnitude="uniform").activate(on, keys).tolist() == [[[2.0**-24, 2.0**-24]]]


def test_evaluation_draws_are_fixed_and_not_those_of_training():
    data = KHot(16, 4)
    assert torch.equal(data.evaluation_inputs(0), data.evaluation_inputs(0))
    assert not torch.equal(data.evaluation_inputs(0), data.inputs(0))
    assert not torch.equal(data.evaluation_inputs(0), data.evaluation_inputs(1))


def test_evaluation_draws_are_those_of_each_instance_and_the_same_whenever_they_are_asked_for():
    data = IndependentBernoulli(8, 0.3, batch_size=128)
    data.bind(Ensemble(3))
    whole = data.evaluation_inputs(1)
    assert torch.equal(data.evaluation_inputs(1), whole)
    assert torch.equal(data.of(slice(1, 3)).evaluation_inputs(1), whole[1:])
    assert torch.equal(data.block(slice(1, 3)).evaluation_inputs(1), whole[1:])
    data.bind(Ensemble(3), seed=1)
    assert not torch.equal(data.evaluation_inputs(1), whole)
