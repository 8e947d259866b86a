"""What the tests of sweeps share: a sweep whose cells are small, slow if told so, and write down who ran them."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

BASE = """
ensemble: {seeds: 2}
data: {class_path: OneHot, init_args: {n_features: 16}}
model: {n_hidden: 16, inner_steps: 5, optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.01}}}
measurements: {every_n_steps: 50}
trainer: {max_steps: 100}
"""
WATCHED = """
import json, os, time
from pathlib import Path
import torch
from lightning.pytorch import Callback

class Watched(Callback):
    def on_train_start(self, trainer, module):
        told = {"pid": os.getpid(), "where": os.environ.get("WHERE"), "step": trainer.global_step}
        told |= {"threads": torch.get_num_threads(), "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}
        with (Path(trainer.log_dir) / "began.txt").open("a") as file:
            file.write(json.dumps(told) + "\\n")

    def on_train_batch_end(self, trainer, *args):
        time.sleep(float(os.environ.get("SLOW", 0)))
        if trainer.global_step == 50 and (number := os.environ.get("INTERRUPT")):
            os.kill(os.getpid(), int(number))
"""
SWEEP = """
base: base.yaml
overrides:
  checkpoint.every_n_seconds: 0.1
  trainer.callbacks: [{class_path: watched.Watched}]
axes: {model.n_hidden: [16, 32, 48], model.l1: [0, 0.01]}
"""
PATIENCE = 180
Found = TypeVar("Found")


def write_sweep_files(directory: Path, sweep: str = SWEEP) -> Path:
    """A base, the callback and a sweep in a directory, and the sweep's path."""
    (directory / "base.yaml").write_text(BASE)
    (directory / "watched.py").write_text(WATCHED)
    (directory / "small.yaml").write_text(sweep)
    return directory / "small.yaml"


def sweep_directory(directory: Path) -> Path:
    """The one sweep in a directory."""
    (found,) = (directory / "lightning_logs/sweeps").iterdir()
    return found


def results(directory: Path) -> pd.DataFrame:
    return pd.read_parquet(sweep_directory(directory) / "results.parquet")


def beginnings(cell: Path) -> list[dict[str, Any]]:
    """Who ran a cell, and from which step on."""
    path = cell / "began.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(find: Callable[[], Found | None], process: subprocess.Popen[str]) -> Found:
    """What `find` finds, while a process is alive."""
    until = time.monotonic() + PATIENCE
    while not (found := find()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def at_work(directory: Path, where: str | None = None) -> Callable[[], tuple[Path, dict[str, Any]] | None]:
    """The first cell that is being trained and has a checkpoint, and who is at it."""

    def find() -> tuple[Path, dict[str, Any]] | None:
        for cell in Path(directory).glob("lightning_logs/sweeps/*/cells/*"):
            told = beginnings(cell)
            unfinished = not (cell / "results.parquet").exists() and (cell / "checkpoints/last.ckpt").exists()
            if unfinished and told and told[-1]["where"] == where:
                return cell, told[-1]
        return None

    return find
