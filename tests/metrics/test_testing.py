import pytest
import torch

from polysemantic.metrics import InstanceMetric
from polysemantic.metrics.testing import check_metric


def updates():
    generator = torch.Generator().manual_seed(0)
    return [
        {"W_enc": torch.randn(3, 6, 4, generator=generator), "h": torch.randn(3, batch, 4, generator=generator)}
        for batch in (5, 8)
    ]


class LargestWeight(InstanceMetric):
    """A user's metric: the largest weight; 0 dead."""

    def update(self, W_enc):
        self.add(W_enc.abs().amax((-2, -1)))


class UnweightedNorm(InstanceMetric):
    """Forgets how many inputs a batch has."""

    def update(self, h):
        self.add(h.norm(dim=-1).mean(-1))


class Centred(InstanceMetric):
    """Depends on the other instances."""

    def update(self, W_enc):
        total = W_enc.sum((-2, -1))
        self.add(total - total.mean())


class Last(InstanceMetric):
    """Knows only the last update."""

    def update(self, W_enc):
        self.total = W_enc.double().sum((-2, -1))
        self.weight = torch.ones_like(self.total)


class Narrow(LargestWeight):
    """Accumulates in single precision."""

    def __init__(self):
        super().__init__()
        self.add_state("square", torch.zeros(()), dist_reduce_fx="sum")


class Unreduced(LargestWeight):
    """Would not add up over ranks."""

    def __init__(self):
        super().__init__()
        self.add_state("square", torch.zeros((), dtype=torch.float64))


class Unknown(InstanceMetric):
    """Takes what nobody supplies."""

    def update(self, W_encoder):
        self.add(W_encoder.sum((-2, -1)))


class Destructive(InstanceMetric):
    """Writes into the weights."""

    def update(self, W_enc):
        self.add(W_enc.square_().sum((-2, -1)))


class OfAll(LargestWeight):
    """One value for all instances."""

    def compute(self):
        return super().compute().mean()


class FractionalCount(LargestWeight):
    """A count that is none."""

    count_valued = True


class OutOfRange(LargestWeight):
    """A share that is none."""

    range = (0, 1)


def test_the_checker_passes_a_users_metric():
    check_metric(LargestWeight, updates())


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (UnweightedNorm, "The value must not depend on the size of batches"),
        (Centred, "`compute` must give an instance the same value on its own"),
        (Last, "The value must not depend on the order of updates"),
        (Narrow, "States must be float64 or integers, got square"),
        (Unreduced, "Every state must have a `dist_reduce_fx`"),
        (Unknown, r"`update` must take only .*, got W_encoder"),
        (Destructive, "`update` must leave its arguments as they are, changed W_enc"),
        (OfAll, r"`compute` must give the shape \(3,\), got \(1,\)"),
        (OutOfRange, r"Values must lie in `range`, \[0, 1\]"),
        (FractionalCount, "Values must be whole where `count_valued`"),
    ],
)
def test_the_checker_says_what_is_wrong(kind, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_metric(kind, updates())


def test_the_checker_needs_two_instances():
    with pytest.raises(ValueError, match=r"`updates` must hold one number of instances of at least 2, got \[1\]\."):
        check_metric(LargestWeight, [{"W_enc": torch.eye(2).unsqueeze(0)}])
