from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

import polysemantic
from benchmarks.cases import Case
from benchmarks.clock import device, now
from polysemantic.callbacks import Convergence, Measurements
from polysemantic.training.cadence import default_interval
from polysemantic.training.loop import StepLoop
from polysemantic.training.module import EnsembleModule, ensemble_module
from polysemantic.training.step_callback import StepCallback

# The cadences are those of a run as long as this.
RUN_SECONDS = 60.0
FOLLOWED_STEPS = 20


class TimedLoop(StepLoop):
    """A loop that adds up the seconds of its steps and their draws."""

    seconds = 0.0

    @override
    def train_steps(self, trainer: Trainer, start: int, stop: int, *, with_loss: bool) -> int:
        began = now()
        super().train_steps(trainer, start, stop, with_loss=with_loss)
        self.seconds += now() - began
        return stop


class Rounds(StepCallback):
    """Times rounds of a fit, everything that goes on between two chunks included, and lets others run between them.

    `beside_steps` is the share of each round that went to anything but optimiser steps and their draws.

    Args:
        steps: Steps of a round.
        rounds: Rounds to time.
        between: What to do after each round.
    """

    def __init__(self, steps: int, rounds: int, between: Callable[[], None]) -> None:
        super().__init__(steps)
        self.steps = steps
        self.rounds = rounds
        self.between = between
        self.seconds_per_step: list[float] = []
        self.beside_steps: list[float] = []
        self.followed: Tensor | None = None
        self._began = 0.0
        self._first = 0
        self._loop = TimedLoop()

    @override
    def next_step(self, step: int) -> int:
        end = super().next_step(step)
        self._next_step = min(end, FOLLOWED_STEPS) if step < FOLLOWED_STEPS else end
        return self._next_step

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        ensemble_module(pl_module).loop = self._loop

    @override
    def act(self, trainer: Trainer, module: EnsembleModule) -> None:
        step = trainer.global_step
        if step == FOLLOWED_STEPS:
            self.followed = module.networks.W_enc.detach().clone()
        elif step % self.steps == 0 and step > FOLLOWED_STEPS:
            took = now() - self._began
            self.seconds_per_step.append(took / (step - self._first))
            self.beside_steps.append(1 - self._loop.seconds / took)
            self.between()
        else:
            return
        trainer.should_stop = len(self.seconds_per_step) >= self.rounds
        self._began, self._first, self._loop.seconds = now(), step, 0.0


def fit(
    case: Case,
    max_steps: int,
    every_n_steps: int | None = None,
    callback: Callback | None = None,
    convergence: Convergence | None = None,
) -> None:
    """Train a case as a user would, with everything on; what a terminal would show goes nowhere."""
    with tempfile.TemporaryDirectory() as directory, _terminal_that_nobody_reads():
        polysemantic.fit(
            case.data(),
            ensemble=case.ensemble(),
            n_hidden=case.hidden,
            max_steps=max_steps,
            measurements=Measurements(every_n_steps),
            convergence=convergence,
            callbacks=[] if callback is None else [callback],
            trainer={"default_root_dir": directory, "accelerator": device().type, "devices": 1},
            l1=case.l1,
            noise_std=case.noise_std,
            optimizer=case.optimizer,
        )


def timed_fit(
    case: Case,
    estimate: float,
    seconds: float,
    rounds: int,
    between: Callable[[], None],
    run_seconds: float,
    times_as_long: int = 1,
) -> Rounds:
    """Time rounds of a fit that would take `run_seconds` in all, or of all of it if the rounds are as long.

    Args:
        case: What to train.
        estimate: Seconds of a step, roughly.
        seconds: Seconds of a round, about.
        rounds: Rounds to time.
        between: What to do after each round.
        run_seconds: Length of the run whose cadences hold.
        times_as_long: How much longer the fit would be, which decides whether it is compiled.
    """
    cadence = default_interval(max(1, round(run_seconds / estimate)), case.features, case.rows)
    # Whole cadences, so that each round has as many measurements as another.
    steps = cadence * max(1, round(seconds / estimate / cadence), -(-(FOLLOWED_STEPS + 1) // cadence))
    callback = Rounds(steps, rounds, between)
    fit(case, max(round(times_as_long * run_seconds / estimate), rounds * steps), cadence, callback)
    return callback


@contextlib.contextmanager
def _terminal_that_nobody_reads() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        mock.patch.dict(os.environ, {"FORCE_COLOR": "1"}),
        contextlib.redirect_stdout(nowhere),
    ):
        yield
