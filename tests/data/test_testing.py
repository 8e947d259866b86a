from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from polysemantic import random
from polysemantic.data import InputDataModule
from polysemantic.data.agreement import check_agreement
from polysemantic.data.testing import check_data_module


class Antipodal(InputDataModule):
    """A user's class: with probability p feature 0, else feature 1."""

    can_vary = ("p",)

    def __init__(self, p: float, batch_size: int = 64) -> None:
        self.p = p
        super().__init__(2, batch_size)

    def sample(self, keys):
        first = random.bernoulli(keys, self.knob("p"), self.batch_size, 1)
        return torch.cat([first, ~first], dim=-1).float()

    def cooccurrence(self):
        p = self.knob("p").squeeze(-1)
        return torch.diag_embed(torch.cat([p, 1 - p], dim=-1))


class WithAnotherMarginal(Antipodal):
    def cooccurrence(self):
        return torch.diag_embed(super().cooccurrence().diagonal(dim1=-2, dim2=-1).flip(-1))


class WithAMarginalSlightlyOff(Antipodal):
    def cooccurrence(self):
        return super().cooccurrence() + torch.diag(torch.tensor([0.02, -0.02], dtype=torch.float64))


class WithAnotherArgument(Antipodal):
    def arguments(self):
        return super().arguments() | {"p": self.p / 2}


class WithMeetings(Antipodal):
    def cooccurrence(self):
        return super().cooccurrence() + 0.1


class WithUnkeyedDraws(Antipodal):
    def sample(self, keys):
        return (torch.rand(*keys.values.shape, self.batch_size, 2) < 0.5).float()


class WithOneDrawForAll(Antipodal):
    def sample(self, keys):
        return super().sample(keys)[..., :1, :, :].expand(*keys.values.shape, -1, -1)


class WithDrawsOfTheFirstStep(Antipodal):
    def sample(self, keys):
        first = super().sample(keys)
        return first[:1].expand_as(first)


class WithDrawsByPosition(Antipodal):
    def sample(self, keys):
        return super().sample(keys).roll(1, dims=-3)


class WithADeafKnob(Antipodal):
    def knob(self, name):
        return torch.full_like(super().knob(name), self.p)


class WithDoubles(Antipodal):
    def sample(self, keys):
        return super().sample(keys).double()


class WithTooFewInputs(Antipodal):
    def sample(self, keys):
        return super().sample(keys)[..., 1:, :]


class WithNegatives(Antipodal):
    def sample(self, keys):
        return -super().sample(keys)


def check(make: Callable[[], InputDataModule]) -> None:
    check_data_module(make, vary={"p": [0.0, 0.3, 1.0]}, n_inputs=2**12)


def test_the_checker_accepts_a_user_s_class():
    check(lambda: Antipodal(0.3))


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (WithAnotherMarginal, r"must draw what `cooccurrence` declares, P\(0 on\) = 1, got 0 of 4096 inputs at p=0\.$"),
        (WithMeetings, r"must give probabilities in \[0, 1\], got P\(1 on\) = 1\.1 at p=0\.$"),
        (WithUnkeyedDraws, r"must give the same inputs for the same keys, got others"),
        (WithOneDrawForAll, r"must give the same inputs beside any number of instances, got others\.$"),
        (WithDrawsOfTheFirstStep, r"must give the same inputs beside any number of steps, got others\.$"),
        (WithDrawsByPosition, r"must give the same inputs beside any number of instances, got others\.$"),
        (WithADeafKnob, r"must read what varies by `knob`, got inputs of other values at p=0\.$"),
        (WithDoubles, r"must give float32, got torch\.float64\.$"),
        (WithTooFewInputs, r"\(step, instance, batch, feature\) \(32, 2, 64, 2\), got \(32, 2, 63, 2\)\.$"),
        (WithNegatives, r"must give finite inputs of at least 0, got -1 of feature 1\.$"),
        (WithAnotherArgument, r"^`arguments\(\)` must make a DataModule with the same inputs\.$"),
    ],
)
def test_the_checker_says_what_a_broken_class_breaks(broken, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(lambda: broken(0.3))


def test_the_checker_sees_a_frequency_that_is_off_by_less_than_the_start_of_a_run_sees():
    check_agreement(WithAMarginalSlightlyOff(0.3))
    with pytest.raises(AssertionError, match=r"^P\([01] and [01] on\) must be 0\.\d+, got \d+ of 65536 inputs\.$"):
        check_data_module(lambda: WithAMarginalSlightlyOff(0.3), n_inputs=2**16)
