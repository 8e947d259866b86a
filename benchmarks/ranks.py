"""Steps per second of two ranks against one: `python -m benchmarks.ranks RANKS CASE STEPS ROUNDS DIRECTORY`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

import polysemantic
from benchmarks.cases import Case
from benchmarks.clock import now
from polysemantic.callbacks import Measurements
from polysemantic.training.step_callback import whole_blocks

CASES = {Case(16, 256, 1024): 1.8, Case(64, 16, 32): 1.3}
"""What is trained, and how many times as fast two ranks must be."""

_FIRST_LOOK = 200
# Measurements of a turn, which makes it nine seconds: in turns of three, after each of which a process rested, small
# networks were slower.
_OF_A_TURN = 4
_TOOK = "took "


class Turns(Callback):
    """Divides a fit into rounds: tells the seconds of a step of each, and begins the next one when it is told to.

    A round begins when all ranks are there and ends with the slowest.

    Args:
        steps: Steps of a round.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._began = float("nan")

    def next_step(self, step: int) -> int:
        """The first optimiser step after `step` to return to the trainer at; the same on all ranks."""
        return (step // self.steps + 1) * self.steps

    @override
    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._wait(trainer)

    @override
    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step % self.steps == 0:
            trainer.strategy.barrier()
            rank_zero_only(print)(f"{_TOOK}{(now() - self._began) / self.steps}", flush=True)
            if trainer.global_step < trainer.max_steps:
                self._wait(trainer)

    def _wait(self, trainer: Trainer) -> None:
        rank_zero_only(sys.stdin.readline)()
        trainer.strategy.barrier()
        self._began = now()


def measure_ranks(
    rounds: int = 16, seconds: float = 140.0, cases: dict[Case, float] | None = None
) -> Iterator[dict[str, float | str]]:
    """Seconds of a step by one and by two ranks of one thread each, in turns; a row for each round but the first.

    Both are whole runs with everything on, which take turns of a few measurements each.

    Args:
        rounds: Rounds of each case; the first, in which whatever is compiled is, does not count.
        seconds: Seconds of a run by one rank, about, beyond its start-up.
        cases: What to train, and the speed-up asked of it.
    """
    for case, target in (cases or CASES).items():
        steps = _FIRST_LOOK
        for _ in range(2):  # once more, as many measurements in few steps make them seem slow
            with _fit(1, case, steps, 2) as alone:
                alone()
                steps = _OF_A_TURN * whole_blocks(max(1, round(seconds / alone() / rounds / _OF_A_TURN)))
        with _fit(1, case, steps, rounds) as alone, _fit(2, case, steps, rounds) as together:
            for at in range(rounds):
                took = {"ranks_1": alone(), "ranks_2": together()}
                if at:
                    yield {"case": case.name, "target": target, "round": at, **took}


@contextlib.contextmanager
def _fit(ranks: int, case: Case, steps: int, rounds: int) -> Iterator[Any]:
    """A fit in processes of its own; each call of what is given lets it train for a round, and gives its time."""
    sizes = {field.name: getattr(case, field.name) for field in dataclasses.fields(case) if field.name != "targets"}
    with tempfile.TemporaryDirectory() as directory, (Path(directory) / "errors").open("w+") as errors:
        job = [str(ranks), json.dumps(sizes), str(steps), str(rounds), directory]
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.ranks", *job],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
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
            raise RuntimeError(f"{ranks} ranks of {case.name} ended early: {errors.read()}")

        try:
            yield take_turn
            process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _train(ranks: int, case: Case, steps: int, rounds: int, directory: str) -> None:
    """Train a case as a user would, in rounds."""
    polysemantic.fit(
        case.data(),
        ensemble=case.ensemble(),
        n_hidden=case.hidden,
        max_steps=steps * rounds,
        measurements=Measurements(steps // _OF_A_TURN),
        callbacks=[Turns(steps)],
        trainer={"default_root_dir": directory, "accelerator": "cpu", "devices": ranks},
        l1=case.l1,
        noise_std=case.noise_std,
        optimizer=case.optimizer,
    )


def main() -> None:
    ranks, sizes, steps, rounds, directory = sys.argv[1:]
    _train(int(ranks), Case(**json.loads(sizes)), int(steps), int(rounds), directory)


if __name__ == "__main__":
    main()
