"""Fits in processes of their own that take turns; `fit_in_turns` starts `python -m benchmarks.turns JOB DIRECTORY`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

import polysemantic
from benchmarks.cases import Case
from benchmarks.clock import now, use_processor_time
from polysemantic.callbacks import CollisionTracker, Convergence, Measurements
from polysemantic.training.module import EnsembleModule
from polysemantic.training.step_callback import StepCallback

_TOOK = "took "
# The package sets our library defaults when it is imported, and the libraries read them when torch is.
_WITHOUT = (
    "import benchmarks, os, runpy; del os.environ[{!r}]; runpy.run_module('benchmarks.turns', run_name='__main__')"
)


@dataclasses.dataclass(frozen=True)
class Job:
    """A fit in rounds.

    Args:
        case: What to train.
        steps: Steps of a round.
        rounds: Rounds.
        measure_every: Steps between two measurements.
        ranks: Processes that train.
        inner_steps: Steps of a chunk; None lets the clock decide.
        in_passing: Whether convergence and collisions are looked at between steps, and not at returns to the trainer.
        busy: Whether to compute in one thread and count processor time.
    """

    case: Case
    steps: int
    rounds: int
    measure_every: int
    ranks: int = 1
    inner_steps: int | None = None
    in_passing: bool = True
    busy: bool = False


class Turns(StepCallback):
    """Divides a fit into rounds: tells the seconds of a step of each, and begins the next one when it is told to.

    A round begins when all ranks are there and ends with the slowest.

    Args:
        steps: Steps of a round.
    """

    def __init__(self, steps: int) -> None:
        super().__init__(steps)
        self.steps = steps
        self._began = float("nan")

    @override
    def act(self, trainer: Trainer, module: EnsembleModule) -> None:
        step = trainer.global_step
        trainer.strategy.barrier()
        if step > 0:
            rank_zero_only(print)(f"{_TOOK}{(now() - self._began) / self.steps}", flush=True)
        if step < trainer.max_steps:
            rank_zero_only(sys.stdin.readline)()
            trainer.strategy.barrier()
            self._began = now()


@contextlib.contextmanager
def fit_in_turns(
    job: Job, environment: dict[str, str] | None = None, without: str | None = None
) -> Iterator[Callable[[], float]]:
    """A fit in processes of its own; each call of what is given lets it train for a round, and gives seconds of a step.

    Args:
        job: The fit.
        environment: Environment variables that differ from those of this process.
        without: A variable of our library defaults that is left unset.
    """
    program = ["-m", "benchmarks.turns"] if without is None else ["-c", _WITHOUT.format(without)]
    with tempfile.TemporaryDirectory() as directory, (Path(directory) / "errors").open("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", *program, json.dumps(_settings(job)), directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | (environment or {}),
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        told, answers = process.stdin, process.stdout

        def take_turn() -> float:
            with contextlib.suppress(BrokenPipeError):  # why is told below
                print(file=told, flush=True)
            for line in answers:
                if line.startswith(_TOOK):
                    return float(line.removeprefix(_TOOK))
            errors.seek(0)
            raise RuntimeError(f"{job.ranks} ranks of {job.case.name} ended early: {errors.read()}")

        try:
            yield take_turn
            process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _settings(job: Job) -> dict[str, Any]:
    """A job as JSON can hold it."""
    settings = dataclasses.asdict(job)
    del settings["case"]["targets"]
    return settings


def _train(job: Job, directory: str) -> None:
    """Train a case as a user would, in rounds."""
    case = job.case
    polysemantic.fit(
        case.data(),
        ensemble=case.ensemble(),
        n_hidden=case.hidden,
        max_steps=job.steps * job.rounds,
        measurements=Measurements(job.measure_every),
        callbacks=[Turns(job.steps)],
        trainer={"default_root_dir": directory, "accelerator": "cpu", "devices": job.ranks},
        l1=case.l1,
        noise_std=case.noise_std,
        optimizer=case.optimizer,
        inner_steps=job.inner_steps,
    )


def main() -> None:
    settings, directory = json.loads(sys.argv[1]), sys.argv[2]
    job = Job(**settings | {"case": Case(**settings["case"])})
    if job.busy:
        use_processor_time()
    with contextlib.ExitStack() as stack:
        if not job.in_passing:
            for kind in (Convergence, CollisionTracker):
                stack.enter_context(mock.patch.object(kind, "in_passing", False))
        _train(job, directory)


if __name__ == "__main__":
    main()
