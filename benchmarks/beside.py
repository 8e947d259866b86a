"""Pairs of ways to do what is beside the steps, with a mechanism for speed and without it, and of whole fits."""

from __future__ import annotations

import dataclasses
import inspect
from contextlib import ExitStack, nullcontext

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from benchmarks import clock
from benchmarks.bare import Bare
from benchmarks.cases import Case
from benchmarks.measure import calibrate
from benchmarks.ours import RUN_SECONDS
from benchmarks.turns import Job, fit_in_turns
from benchmarks.ways import TOO_LARGE, Effort, Pair, turn
from polysemantic import random
from polysemantic.data import IndependentBernoulli, InputDataModule
from polysemantic.engine.select import select
from polysemantic.functional import sharing
from polysemantic.kernels.sparse import SparseInputs
from polysemantic.metrics.base import InstanceMetric
from polysemantic.metrics.standard import STANDARD
from polysemantic.model.weights import Weights
from polysemantic.random.splitmix64 import library_for, random_bits_by_torch
from polysemantic.training.cadence import default_interval

_STEPS_OF_PLACES = 8


class DrawnByTorch(IndependentBernoulli):
    """The same inputs, drawn by torch's operations."""

    @override
    def sample(self, keys: random.Keys) -> Tensor:
        shape, size = (self.batch_size, self.n_features), self.batch_size * self.n_features
        bits = random_bits_by_torch(keys.values, (size + 1) // 2).view(torch.int32)[..., :size].bitwise_and_(2**31 - 1)
        # As in `polysemantic.random`, numpy compares, which takes a quarter of the time.
        on = np.asarray(bits.numpy() <= round(self.probability * 2**31) - 1)
        return self.activate(keys.to_instances(torch.from_numpy(on).reshape(*keys.values.shape, *shape)), keys)


class Draws:
    """The inputs of steps, and no steps.

    Args:
        case: Whose inputs.
        data: The distribution, bound to the instances.
    """

    def __init__(self, case: Case, data: InputDataModule) -> None:
        self.case, self.data, self.drawn = case, data, 0

    def run(self, steps: int) -> None:
        """Draw the inputs of so many steps, as many together as for steps of a fit."""
        for start in range(self.drawn, self.drawn + steps, self.case.steps_at_once):
            some = range(start, min(start + self.case.steps_at_once, self.drawn + steps))
            self.data.sample(self.data.keys("data", some))
        self.drawn += steps


def splitmix64(case: Case, effort: Effort, _: ExitStack, *, alone: bool) -> Pair | None:
    """Inputs drawn by the native kernel, with the steps that they are for or alone."""
    if case.batch is None:
        return None
    own, other = case.data(), DrawnByTorch(case.features, case.probability, batch_size=case.batch)
    other.bind(case.ensemble(), device=clock.device())
    if library_for(own.keys("data", range(case.steps_at_once)).values, case.batch * case.features) is None:
        return None
    if alone:
        return turn(Draws(case, own), effort), turn(Draws(case, other), effort)
    return turn(Bare(case, case.start(), data=own), effort), turn(Bare(case, case.start(), data=other), effort)


class SparsePlaces:
    """The places of the non-zero inputs of eight steps, found for all of them together or for each alone.

    Args:
        case: Whose inputs.
        instances: Networks whose inputs are multiplied together.
        together: Whether for all steps together.
    """

    def __init__(self, case: Case, instances: int, *, together: bool) -> None:
        data = case.data().of(slice(0, instances))
        x = data.sample(data.keys("data", range(_STEPS_OF_PLACES)))
        self.groups = [x] if together else [x[at : at + 1] for at in range(len(x))]

    def run(self, steps: int) -> None:
        """Find them so often."""
        for _ in range(steps):
            for x in self.groups:
                SparseInputs.of_steps(x)


def sparse_places(case: Case, effort: Effort, _: ExitStack) -> Pair | None:
    """The places of non-zero inputs found for several steps together against for each step."""
    plan = select(case.problem())
    if not plan.sparse_inputs:
        return None
    one, other = (SparsePlaces(case, plan.block, together=together) for together in (True, False))
    return turn(one, effort), turn(other, effort)


class Measuring:
    """Measurements of the networks of a case, as between the steps of a fit, without the costly ones.

    Args:
        case: What to measure.
        shares: Whether metrics share the intermediates that they have in common.
    """

    def __init__(self, case: Case, *, shares: bool) -> None:
        weights = Weights(case.start())
        self.given = {"W_enc": weights.W_enc, "W_dec": weights.W_dec, "b_dec": weights.b_dec}
        self.metrics = [metric for kind in STANDARD if set(_needs(metric := kind())) <= set(self.given)]
        self.sharing = sharing if shares else nullcontext

    @torch.no_grad()
    def run(self, steps: int) -> None:
        """Measure so many times."""
        for _ in range(steps):
            with self.sharing():
                for metric in self.metrics:
                    metric.reset()
                    metric.update(**metric._filter_kwargs(**self.given))


def _needs(metric: InstanceMetric) -> list[str]:
    parameters = inspect.signature(metric.update).parameters.values()
    return [each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD]


def shared_intermediates(case: Case, effort: Effort, _: ExitStack) -> Pair:
    """Measurements of the weights that share intermediates against measurements that do not."""
    one, other = (Measuring(case, shares=shares) for shares in (True, False))
    return turn(one, effort), turn(other, effort)


def of_fits(
    case: Case,
    effort: Effort,
    stack: ExitStack,
    *,
    without: str | None = None,
    inner_steps: int | None = None,
    in_passing: bool = True,
) -> Pair | None:
    """A whole fit as users run it against one with other settings, each in a process of its own."""
    if case.parameters >= TOO_LARGE or not effort.rounds_of_fits:
        return None
    step = calibrate(Bare(case, case.start()))
    every = default_interval(max(1, round(RUN_SECONDS / step)), case.features, case.rows)
    steps = every * max(1, round(2 * effort.seconds / step / every))
    usual = Job(case, steps, effort.rounds_of_fits + 1, measure_every=every, busy=not clock.is_wall())
    other = dataclasses.replace(usual, inner_steps=inner_steps, in_passing=in_passing)
    with_it, without_it = fit_in_turns(usual), fit_in_turns(other, without=without)
    return stack.enter_context(with_it), stack.enter_context(without_it)
