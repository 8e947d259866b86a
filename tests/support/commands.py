"""A small `fit` command, and commands that run side by side in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

COMMAND = [
    "-m", "polysemantic", "fit", "--data=IndependentBernoulli", "--data.n_features=16", "--data.probability=0.1",
    "--model.n_hidden=8", "--ensemble.seeds=5", "--trainer.max_steps=60", "--trainer.accelerator=cpu",
    "--measurements.every_n_steps=30", "--model.l1=0.01",
]  # fmt: skip


def run_commands(
    commands: Sequence[Sequence[str]], directory: Path, variables: Sequence[Mapping[str, str]] | None = None
) -> None:
    """Run commands side by side, each with environment variables of its own; none outlives its time or the test."""
    environment: dict[str, str] = {name: value for name, value in os.environ.items() if name != "PL_GLOBAL_SEED"}
    environment |= {"OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            env={**environment, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=directory,
        )
        for command, own in zip(commands, variables or [{}] * len(commands), strict=True)
    ]
    try:
        said = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(processes), said
