from __future__ import annotations

import pytest
import torch

from polysemantic.data import CooccurrenceDial, IndependentBernoulli
from tests.support.inputs import on


@pytest.mark.parametrize("probability", [0.01, 0.2, 0.25])
@pytest.mark.parametrize("dial", [-1.0, -0.4, 0.0, 0.3, 1.0])
def test_the_dial_is_phi_within_a_group_and_phi_is_zero_across(probability, dial):
    phi = CooccurrenceDial(8, probability, dial, group_size=4).phi()[0]
    expected = dial if dial >= 0 else dial * probability / (1 - probability)
    assert phi[0, 3].item() == pytest.approx(expected)
    assert phi[0, 4].item() == pytest.approx(0, abs=1e-12)


def test_the_extremes_of_the_dial_are_mutually_exclusive_and_synchronised():
    assert on(CooccurrenceDial(8, 0.2, -1.0, group_size=4)).unflatten(-1, (2, 4)).sum(-1).max() == 1
    assert (on(CooccurrenceDial(8, 1 / 8, -1.0)).sum(-1) == 1).all()
    together = on(CooccurrenceDial(8, 0.5, 1.0, group_size=4)).unflatten(-1, (2, 4)).sum(-1)
    assert set(together.unique().tolist()) == {0, 4}


def test_the_dial_at_zero_gives_the_inputs_of_independent_bernoulli():
    assert torch.equal(CooccurrenceDial(6, 0.3, 0.0, group_size=2).inputs(1), IndependentBernoulli(6, 0.3).inputs(1))
