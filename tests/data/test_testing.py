from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from polysemantic import random
from polysemantic.data import InputDataModule
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
        (WithAnotherMarginal, r"^Pairs that `cooccurrence` calls impossible or certain must be so at \{'p': 0\.0\}\.$"),
        (WithMeetings, r"^Marginals must lie in \[0, 1\]\.$"),
        (WithUnkeyedDraws, r"same inputs\.$"),
        (WithOneDrawForAll, r"^`sample` must give the same bits on a slice of instances\.$"),
        (WithDrawsOfTheFirstStep, r"^`sample` must give a step the same bits beside any number of steps\.$"),
        (WithDrawsByPosition, r"^`sample` must give the same bits on a slice of instances\.$"),
        (WithADeafKnob, r"^The inputs must be those of the instance's own \{'p': 0\.0\}\.$"),
        (WithDoubles, r"^`sample` must give float32, got torch\.float64\.$"),
        (
            WithTooFewInputs,
            r"^`sample` must give the shape \(3, 4, 64, 2\) for 3 steps, got \(3, 4, 63, 2\)\.$",
        ),
        (WithNegatives, r"^Inputs must be finite and not negative\.$"),
    ],
)
def test_the_checker_says_what_a_broken_class_breaks(broken, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(lambda: broken(0.3))


def test_the_checker_sees_a_frequency_that_is_off():
    with pytest.raises(AssertionError, match=r"^P\([01] and [01] on\) must be 0\.[37], got \d+ of 4096 inputs\.$"):
        check_data_module(lambda: WithAnotherMarginal(0.3), n_inputs=2**12)
