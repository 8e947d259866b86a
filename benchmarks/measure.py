from __future__ import annotations

import dataclasses
import importlib.util
import statistics
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from benchmarks.bare import Bare
from benchmarks.cases import Case
from benchmarks.clock import device, now, on_cpu
from benchmarks.ours import FOLLOWED_STEPS, RUN_SECONDS, timed_fit
from benchmarks.standard import Standard

# Adam divides by gradients that cancel to rounding: single weights may part, the more the wider a network is.
_APART = 5e-3
# Times as fast as the bare loop that a run may be, once it is compiled.
_LONG = 10
# Products between two readings of the clock: on an accelerator to wait for one takes longer than the product does.
_ON_ACCELERATORS = 100


class Way(Protocol):
    """A way to take steps."""

    def run(self, steps: int) -> None:
        """Take some steps."""


class Contender(Way, Protocol):
    """Something that trains a case."""

    name: str

    def follow(self, x: Tensor | None, noise: Tensor | None, steps: int) -> Tensor:
        """Train on given draws, and give the weights."""


@dataclasses.dataclass
class Measured:
    """What the rounds of one case gave.

    Args:
        case: The case.
        rounds: For each round the seconds of a step by each contender, and those of the step's products at peak rate.
        peak: For each round the peak rate of matrix products, in FLOP per second.
        beside: For each round the share of ours that went to anything but optimiser steps and their draws.
        apart: How far each contender ends from `standard` after 20 steps on the same draws, by distance travelled.
    """

    case: Case
    rounds: list[dict[str, float]]
    peak: list[float]
    beside: list[float]
    apart: dict[str, float]

    def seconds(self, name: str) -> float:
        """Median seconds of a step."""
        return statistics.median(row[name] for row in self.rounds)

    def against(self, name: str) -> float:
        """How many times as fast as a contender ours is: the median of each round's ratio."""
        if name not in self.rounds[0]:
            return float("nan")
        return statistics.median(row[name] / row["ours"] for row in self.rounds)

    @property
    def share_of_peak(self) -> float:
        """Share of the peak rate that ours reaches, as if on the dense path."""
        rows = zip(self.rounds, self.peak, strict=True)
        return statistics.median(self.case.flop / row["ours"] / rate for row, rate in rows)


def contenders(case: Case) -> list[Contender]:
    """Everything but ours, from the same weights; JAX where it is installed for the device."""
    kinds: list[Callable[[Case, Tensor], Contender]] = [Standard, Bare]
    if importlib.util.find_spec("jax") and importlib.util.find_spec("optax"):
        from benchmarks.jax_loop import JaxLoop

        if JaxLoop.has_device():
            kinds.append(JaxLoop)
    W = case.start()
    return [kind(case, W) for kind in kinds]


def measure(
    case: Case,
    rounds: int = 5,
    seconds: float = 1.0,
    run_seconds: float = RUN_SECONDS,
    *,
    whole: bool = False,
    others: Sequence[Contender] | None = None,
    enough: float = 0.02,
) -> Measured:
    """Time every contender in turns, after a check that all of them train alike.

    Args:
        case: The case.
        rounds: Rounds.
        seconds: Seconds of each contender in a round, about.
        run_seconds: Length of the fit whose cadences hold.
        whole: Whether ours is timed over all of that fit, divided among the rounds, and not over its beginning.
        others: Contenders beside ours, `standard` and `bare` among them; None for all that can run here.
        enough: Seconds that the steps must take by which a contender's speed is first judged.

    Raises:
        AssertionError: If contenders on the same draws end at different weights.
    """
    others = contenders(case) if others is None else others
    x, noise = case.draws(case.data(), range(FOLLOWED_STEPS))
    ends = {other.name: other.follow(x, noise, FOLLOWED_STEPS).clone() for other in others}
    at_once = {other.name: max(1, int(seconds / 5 / calibrate(other, enough))) for other in others}
    # A run of a minute has the more steps, and looks the more seldom, the faster it is: its own pace decides, once
    # compiled if that is what a run so long would be.
    estimate = seconds / 5 / at_once["bare"]
    pace = timed_fit(case, estimate, seconds / 5, 2, lambda: None, run_seconds, _LONG)
    rows: list[dict[str, float]] = []
    peak: list[float] = []
    for other in others:
        other.run(at_once[other.name])

    of_ours = run_seconds / rounds if whole else seconds
    # Of a machine that now and then stops for a moment, short windows have a better median than long ones: between the
    # loop and ours nothing else must differ.
    windows = [(other, of_ours if other.name == "bare" else seconds) for other in others]

    def between() -> None:
        rows.append({other.name: seconds_per_step(other, at_once[other.name], window) for other, window in windows})
        peak.append(peak_rate(case, seconds / 4))

    ours = timed_fit(case, pace.seconds_per_step[-1], of_ours, rounds, between, run_seconds)
    assert ours.followed is not None
    ends["ours"] = ours.followed
    for row, own in zip(rows, ours.seconds_per_step, strict=True):
        row["ours"] = own
    return Measured(case, rows, peak, ours.beside_steps, _apart(case, ends))


def calibrate(contender: Way, enough: float = 0.02) -> float:
    """Seconds of a step, roughly, once it has been compiled."""
    steps = 1
    while True:
        # Each number of steps is compiled for itself.
        contender.run(steps)
        took = statistics.median(_time(contender.run, steps) for _ in range(3))
        if took > enough:
            return took / steps
        steps *= 10


def _time(call: Callable[..., object], *arguments: object) -> float:
    began = now()
    call(*arguments)
    return now() - began


def seconds_per_step(contender: Way, at_once: int, seconds: float) -> float:
    """Seconds of a step over about that many seconds."""
    steps, began = 0, now()
    while (took := now() - began) < seconds:
        contender.run(at_once)
        steps += at_once
    return took / steps


def peak_rate(case: Case, seconds: float) -> float:
    """The best rate, in FLOP per second, among the matrix products that a step is made of."""
    W = torch.randn(case.instances, case.features, case.hidden, device=device())
    h = torch.randn(case.instances, case.rows, case.hidden, device=device())
    x = torch.randn(case.instances, case.rows, case.features, device=device())
    products = [(h, W.mT), (x, W), (x.mT, h)]
    return max(_rate(a, b, seconds / len(products)) for a, b in products)


def _rate(a: Tensor, b: Tensor, seconds: float) -> float:
    out = torch.bmm(a, b)
    products = 1 if on_cpu() else _ON_ACCELERATORS
    flop = products * 2 * a.shape[0] * a.shape[1] * a.shape[2] * b.shape[2]

    def multiply() -> None:
        for _ in range(products):
            torch.bmm(a, b, out=out)

    best, began = float("inf"), now()
    while now() - began < seconds or best == float("inf"):
        best = min(best, _time(multiply))
    return flop / best


def _apart(case: Case, ends: dict[str, Tensor]) -> dict[str, float]:
    start, reference = case.start(), ends["standard"]
    travelled = (reference - start).norm()
    apart = {name: float((W - reference).norm() / travelled) for name, W in ends.items()}
    for name, distance in apart.items():
        assert distance < _APART, (
            f"{case.name}: {name} must end where standard does, got {distance:.2g} of the way off."
        )
    return apart
