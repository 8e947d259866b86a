"""Small runs that are forked, so that no time goes into imports, and what must be true once something befell them."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from lightning.pytorch import Callback, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from polysemantic import Run
from polysemantic.cli.main import main
from polysemantic.results.runs import load_run
from polysemantic.storage.checkpoints import check_checkpoint
from tests.support.ranks import assert_same_drawings, assert_same_runs, finish, start

# No rank may outlive another that ended by more than this.
PATIENCE = 30
Prepare = Callable[[], object]
Ended = tuple[list[int | None], list[str]]
FIT = [
    "fit", "--data=IndependentBernoulli", "--data.n_features=16", "--data.probability=0.1", "--data.batch_size=32",
    "--model.n_hidden=8", "--model.noise_std=0.1", "--ensemble.seeds=4", "--trainer.max_steps=1200",
    "--trainer.accelerator=cpu", "--measurements.every_n_steps=200", "--collisions.every_n_steps=50",
    "--convergence.every_n_steps=100", "--model.inner_steps=20", "--checkpoint.every_n_seconds=0",
]  # fmt: skip


def _command(root: Path, arguments: Sequence[object], prepare: Prepare) -> None:
    prepare()
    sys.argv = ["polysemantic"]  # Lightning warns where the process has arguments of its own
    os.chdir(root)
    status = main([str(argument) for argument in arguments])
    sys.stdout.flush()
    os._exit(status)


def _said(root: Path) -> Path:
    # Not in the directory itself, which may be a full disk.
    return root.with_name(f"{root.name}_said")


def nothing() -> None:
    """No preparation."""


def begin(root: Path, *arguments: str, ranks: int = 1, prepare: Prepare = nothing) -> Sequence[BaseProcess]:
    """Start a command in the given directory, in so many processes that each prepare a fault."""
    root.mkdir(parents=True, exist_ok=True)
    devices = [f"--trainer.devices={ranks}"]
    return start(ranks, _said(root), _command, root, [*FIT, *devices, *arguments], prepare)


def end(processes: Sequence[BaseProcess], root: Path) -> Ended:
    """Wait for all to end, and give their exit statuses and what they said."""
    return finish(processes, _said(root))


def run(root: Path, *arguments: str, ranks: int = 1, prepare: Prepare = nothing) -> Ended:
    """Start a command and wait for its end."""
    return end(begin(root, *arguments, ranks=ranks, prepare=prepare), root)


def wait_for(condition: Callable[[], bool], processes: Sequence[BaseProcess]) -> None:
    """Wait until something is so, which must be before the processes end."""
    while not condition():
        assert all(process.is_alive() for process in processes), "ended too early"
        time.sleep(0.002)


def at_step(kind: type[Callback], name: str, step: int, does: Callable[[Trainer], object]) -> None:
    """Let something happen before the first call of a callback's method from a step on."""
    method = getattr(kind, name)
    done: list[bool] = []

    def struck(self: Callback, trainer: Trainer, *arguments: Any, **options: Any) -> Any:
        if trainer.global_step >= step and not done:
            done.append(True)
            does(trainer)
        return method(self, trainer, *arguments, **options)

    setattr(kind, name, struck)


def killed(root: Path, ready: Callable[[], bool], prepare: Prepare = nothing) -> Path:
    """A run that is killed as soon as something is so."""
    processes = begin(root, prepare=prepare)
    wait_for(ready, processes)
    processes[0].kill()
    statuses, said = end(processes, root)
    assert statuses == [-signal.SIGKILL], said
    return root / "lightning_logs" / "version_0"


def error_line(text: str) -> str:
    """What was said in one line, after which nothing came."""
    lines = text.splitlines()
    assert lines[-1].startswith("error: "), text
    assert "Traceback" not in text
    return lines[-1]


def runs(root: Path) -> list[Path]:
    return sorted((root / "lightning_logs").glob("version_*"))


def assert_whole_files(root: Path) -> None:
    """Every file that a later run reads is whole: it can be read from its beginning to its end."""
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
    """The newest run ended as the one that nothing befell, with nothing half written beside it and no point twice."""
    newest = max(runs(root), key=lambda path: int(path.name.removeprefix("version_")))
    assert_whole_files(root)
    assert list(newest.rglob("*.part")) == []
    ended = load_run(newest)
    assert_same_runs(whole, ended)
    assert_same_drawings(whole, ended)
    assert points(newest / "mean") == points(whole.directory / "mean")


def points(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """The points of every curve in TensorBoard."""
    events = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def go_on(root: Path, *arguments: str, ranks: int = 1) -> Sequence[BaseProcess]:
    """Start the command that continues the newest run, or that starts it again if it had no checkpoint yet."""
    begun = any(root.glob("lightning_logs/version_*/checkpoints/*.ckpt"))
    return begin(root, *(["--ckpt_path=last"] if begun else []), *arguments, ranks=ranks)
