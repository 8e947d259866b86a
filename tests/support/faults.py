"""Small runs in forks of this process, faults that befall them, and what must hold afterwards."""

import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from lightning.pytorch import Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import polysemantic
from polysemantic import Run
from polysemantic.cli.main import main
from polysemantic.storage.checkpoints import check_checkpoint
from tests.support.ranks import assert_same_drawings, assert_same_runs, finish, start

# Seconds by which one rank may outlive another that has ended.
PATIENCE = 30
FIT = [
    "fit", "--data=IndependentBernoulli", "--data.n_features=16", "--data.probability=0.1", "--data.batch_size=32",
    "--model.n_hidden=8", "--model.noise_std=0.1", "--ensemble.seeds=4", "--trainer.max_steps=1200",
    "--trainer.accelerator=cpu", "--measurements.every_n_steps=200", "--collisions.every_n_steps=50",
    "--convergence.every_n_steps=100", "--model.inner_steps=20", "--checkpoint.every_n_seconds=0",
]  # fmt: skip


def _command(root: Path, arguments: list[Any], prepare: Callable[[], None]) -> None:
    prepare()
    sys.argv = ["polysemantic"]  # Lightning warns where the process has arguments of its own
    os.chdir(root)
    status = main([str(argument) for argument in arguments])
    sys.stdout.flush()
    os._exit(status)


def _said(root: Path) -> Path:
    # Beside the directory, because the directory may be a full disk.
    return root.with_name(f"{root.name}_said")


def nothing() -> None:
    """No preparation."""


def begin(root: Path, *arguments: str, ranks: int = 1, prepare: Callable[[], None] = nothing) -> list[BaseProcess]:
    """Start a command in a directory, in `ranks` processes that each prepare a fault."""
    root.mkdir(parents=True, exist_ok=True)
    devices = [f"--trainer.devices={ranks}"]
    processes: list[BaseProcess] = start(ranks, _said(root), _command, root, [*FIT, *devices, *arguments], prepare)
    return processes


def end(processes: list[BaseProcess], root: Path) -> tuple[list[int], list[str]]:
    """Wait for all to end, and give their exit statuses and what they said."""
    ended: tuple[list[int], list[str]] = finish(processes, _said(root))
    return ended


def run(
    root: Path, *arguments: str, ranks: int = 1, prepare: Callable[[], None] = nothing
) -> tuple[list[int], list[str]]:
    """Start a command and wait for its end."""
    return end(begin(root, *arguments, ranks=ranks, prepare=prepare), root)


def wait_for(condition: Callable[[], bool], processes: list[BaseProcess]) -> None:
    """Wait until a condition holds, which must be before the processes end."""
    while not condition():
        assert all(process.is_alive() for process in processes), "ended too early"
        time.sleep(0.002)


def at_step(kind: type, name: str, step: int, does: Callable[[Trainer], None]) -> None:
    """Let a fault happen before the first call of a callback's method from a step on."""
    method = getattr(kind, name)
    done: list[bool] = []

    def struck(self: Any, trainer: Trainer, *arguments: Any, **options: Any) -> Any:
        if trainer.global_step >= step and not done:
            done.append(True)
            does(trainer)
        return method(self, trainer, *arguments, **options)

    setattr(kind, name, struck)


def killed(root: Path, ready: Callable[[], bool], prepare: Callable[[], None] = nothing) -> Path:
    """The directory of a run that is killed as soon as a condition holds."""
    processes = begin(root, prepare=prepare)
    wait_for(ready, processes)
    processes[0].kill()
    statuses, said = end(processes, root)
    assert statuses == [-signal.SIGKILL], said
    return root / "lightning_logs" / "version_0"


def error_line(text: str) -> str:
    """The error in one line at the end of what a command printed."""
    lines = text.splitlines()
    assert lines[-1].startswith("error: "), text
    assert "Traceback" not in text
    return lines[-1]


def runs(root: Path) -> list[Path]:
    """The run directories of a root directory."""
    return sorted((root / "lightning_logs").glob("version_*"))


def assert_whole_files(root: Path) -> None:
    """Check that every file that a later run reads can be read to its end."""
    for path in root.rglob("*"):
        if path.suffix == ".parquet":
            pd.read_parquet(path)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                assert all(len(np.atleast_1d(file[name])) for name in file.files)
        elif path.suffix == ".ckpt":
            check_checkpoint(path)
        elif path.name == "config.yaml":
            assert "model" in yaml.safe_load(path.read_text())


def assert_nothing_lost(whole: Run, root: Path) -> None:
    """Check that the newest run ended as one without a fault, left no half-written file, and drew no point twice."""
    newest = max(runs(root), key=lambda path: int(path.name.removeprefix("version_")))
    assert_whole_files(root)
    assert list(newest.rglob("*.part")) == []
    ended = polysemantic.load(newest)
    assert_same_runs(whole, ended)
    assert_same_drawings(whole, ended)
    assert points(newest / "mean") == points(whole.directory / "mean")


def points(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """The points of every curve in TensorBoard."""
    events = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def go_on(root: Path, *arguments: str, ranks: int = 1) -> list[BaseProcess]:
    """Start the command that continues the newest run, or a new run if there is no checkpoint yet."""
    begun = any(root.glob("lightning_logs/version_*/checkpoints/*.ckpt"))
    return begin(root, *(["--ckpt_path=last"] if begun else []), *arguments, ranks=ranks)
