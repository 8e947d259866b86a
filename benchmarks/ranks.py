"""Steps per second of two ranks against one: `python -m benchmarks.ranks RANKS CASE STEPS DIRECTORY`."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

import polysemantic
from benchmarks.cases import Case
from benchmarks.clock import now

CASES = {Case(16, 256, 1024): 1.8, Case(64, 16, 32): 1.3}
"""What is trained, and how many times as fast two ranks must be."""


# Steps before the clock starts, in which whatever is compiled is; and those of a first look at the pace.
_WARM_UP, _FIRST_LOOK = 100, 200


class Stopwatch(Callback):
    """Times a whole run but for its first steps.

    Args:
        last: Last step of the run, beyond those.
    """

    def __init__(self, last: int) -> None:
        self.last = last
        self.seconds_per_step = float("nan")
        self._began = float("nan")

    def next_step(self, step: int) -> int:
        """The first optimiser step after `step` to return to the trainer at; the same on all ranks."""
        return _WARM_UP if step < _WARM_UP else self.last

    @override
    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == _WARM_UP:
            self._began = now()
        if trainer.global_step == self.last:
            self.seconds_per_step = (now() - self._began) / (self.last - _WARM_UP)


def measure_ranks(
    rounds: int = 3, seconds: float = 30.0, cases: dict[Case, float] | None = None
) -> Iterator[dict[str, float | str]]:
    """Seconds of a step by one and by two ranks of one thread each, in turns; a row for each round.

    Whole runs: at the beginning of a longer one snapshots are taken, and convergence looked at, far more often.

    Args:
        rounds: Rounds of each case.
        seconds: Seconds of a run by one rank, about, beyond its start-up.
        cases: What to train, and the speed-up asked of it.
    """
    for case, target in (cases or CASES).items():
        steps = _FIRST_LOOK
        # The longer a run, the smaller the share of what happens once or at its beginning.
        for length in (seconds / 10, seconds):
            steps = _WARM_UP + max(1, round(length / _time_in_processes(1, case, steps)))
        for at in range(rounds):
            took = {f"ranks_{ranks}": _time_in_processes(ranks, case, steps) for ranks in (1, 2)}
            yield {"case": case.name, "target": target, "round": at, **took}


def _time_in_processes(ranks: int, case: Case, steps: int) -> float:
    sizes = {field.name: getattr(case, field.name) for field in dataclasses.fields(case) if field.name != "targets"}
    with tempfile.TemporaryDirectory() as directory:
        job = [str(ranks), json.dumps(sizes), str(steps), directory]
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.ranks", *job]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return float(done.stdout.split()[-1])


def _train(ranks: int, case: Case, steps: int, directory: str) -> float:
    """Train a case as a user would, and give the seconds of a step."""
    watch = Stopwatch(steps)
    polysemantic.fit(
        case.data(),
        ensemble=case.ensemble(),
        n_hidden=case.hidden,
        max_steps=steps,
        callbacks=[watch],
        trainer={"default_root_dir": directory, "accelerator": "cpu", "devices": ranks},
        l1=case.l1,
        noise_std=case.noise_std,
        optimizer=case.optimizer,
    )
    return watch.seconds_per_step


def main() -> None:
    ranks, sizes, steps, directory = sys.argv[1:]
    took = _train(int(ranks), Case(**json.loads(sizes)), int(steps), directory)
    rank_zero_only(print)(took)


if __name__ == "__main__":
    main()
