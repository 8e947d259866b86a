"""Runs on disk, as they are read: by people, reports and later runs."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from polysemantic.storage.checkpoints import check_checkpoint, read_checkpoint
from polysemantic.storage.files import RUNS, CorruptFileError, run_number
from polysemantic.storage.locks import check_free

# Where a run lies and what it shows while it goes on.
_NO_RESULT = {"default_root_dir", "enable_progress_bar", "enable_model_summary", "log_every_n_steps", "profiler"}


@dataclasses.dataclass(repr=False)
class Run:
    """What a run left behind.

    Args:
        directory: The run directory.
        config: The resolved configuration.
        results: One row for each instance, the end state.
        history: One row for each instance and measured step.
        collisions: One row for each collision's life; None if the run did not follow them.
        weights: Snapshots by step, each with `W_enc`, `W_dec` if untied, `b_dec` if any, and `instance`.
    """

    directory: Path
    config: dict[str, Any]
    results: pd.DataFrame
    history: pd.DataFrame
    collisions: pd.DataFrame | None
    weights: dict[int, dict[str, Tensor]]

    def __repr__(self) -> str:
        return f"Run({str(self.directory)!r}, {len(self.results)} instances, step {self.results['step'].max()})"

    @property
    def model(self) -> dict[str, Tensor]:
        """The final parameters of every instance: `W_enc`, `W_dec` if untied and `b_dec` if any."""
        state = read_checkpoint(checkpoint_of(self.directory))["state_dict"]
        return {name.removeprefix("autoencoder."): values for name, values in state.items()}


def load(run_dir: Path | str) -> Run:
    """Read a finished run.

    Raises:
        FileNotFoundError: If there is no finished run in this directory.
    """
    directory = Path(run_dir)
    if not (directory / "results.parquet").is_file():
        raise FileNotFoundError(f"`run_dir` must be the directory of a finished run, got {str(run_dir)!r}.")
    collisions = directory / "collisions.parquet"
    return Run(
        directory,
        yaml.safe_load((directory / "config.yaml").read_text()),
        pd.read_parquet(directory / "results.parquet"),
        pd.read_parquet(directory / "history.parquet"),
        pd.read_parquet(collisions) if collisions.is_file() else None,
        dict(read_snapshot(path) for path in sorted((directory / "weights").glob("step_*.npz"))),
    )


def read_snapshot(path: Path) -> tuple[int, dict[str, Tensor]]:
    """The step of a file of weights, and its arrays."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file.files if name != "step"}
        return int(file["step"]), arrays


@dataclasses.dataclass(frozen=True)
class Continued:
    """What a run goes on from.

    Args:
        directory: The run directory.
        checkpoint: The checkpoint in it, which is whole.
    """

    directory: Path
    checkpoint: Path


def continued_run(ckpt_path: str, root: Path, config: str, *, training: bool = True) -> Continued:
    """What `ckpt_path` continues: the run of a checkpoint, or the newest with this configuration.

    Args:
        ckpt_path: A checkpoint, or `last`.
        root: The directory that holds `lightning_logs/`.
        config: The resolved configuration as YAML.
        training: Whether it will be trained on, by one process at a time.

    Raises:
        FileNotFoundError: If there is no such checkpoint or run.
        ValueError: If the checkpoint is damaged, lies in no run directory or is being trained on.
    """
    checkpoint = checkpoint_of(newest_run(root, config)) if ckpt_path == "last" else Path(ckpt_path)
    run = checkpoint.absolute().parent.parent
    if training and (run / "config.yaml").is_file():
        check_free(run)
    checkpoint = whole_checkpoint(checkpoint)
    if not (run / "config.yaml").is_file():
        # Its grandparent would otherwise be filled with the files of a run, whatever it is.
        raise ValueError(f"`ckpt_path` must lie in the checkpoints of a run to continue it, got {ckpt_path!r}.")
    return Continued(run, checkpoint)


def checkpoint_of(run: Path) -> Path:
    """The newest checkpoint of a run."""
    return run / "checkpoints" / "last.ckpt"


def whole_checkpoint(path: Path) -> Path:
    """A checkpoint if it is whole, else the one before it, which is then said.

    Raises:
        FileNotFoundError: If there is none.
        CorruptFileError: If there is none that is whole.
    """
    previous = path.with_name("previous.ckpt")
    try:
        check_checkpoint(path)
    except (CorruptFileError, FileNotFoundError) as error:
        if path.name != "last.ckpt" or not previous.is_file():
            raise
        try:
            check_checkpoint(previous)
        except CorruptFileError:
            raise CorruptFileError(f"{error} previous.ckpt beside it is damaged too.") from None
        _say_once(f"{error} Going on from previous.ckpt beside it.")
        return previous
    return path


@rank_zero_only
def _say_once(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def newest_run(root: Path, config: str) -> Path:
    """The newest run below `root` with this configuration and a checkpoint.

    Raises:
        FileNotFoundError: If there is none.
    """
    wanted = _what(yaml.safe_load(config))
    runs = [path.parent for path in (root / RUNS).glob("version_*/config.yaml")]
    numbered = sorted((number, run) for run in runs if (number := run_number(run)) is not None)
    same = [run for _, run in numbered if _is_of(run / "config.yaml", wanted)]
    begun = [run for run in same if any((run / "checkpoints").glob("*.ckpt"))]
    if not begun:
        got = f"{same[-1].name}, which ended before its first; begin again without `ckpt_path`" if same else "none"
        raise FileNotFoundError(
            f"`ckpt_path` last must find a run of this configuration with a checkpoint in {root / RUNS}, got {got}."
        )
    return begun[-1]


def _is_of(path: Path, wanted: dict[str, Any]) -> bool:
    """Whether a file holds a configuration; one that cannot be read is of no run."""
    try:
        config = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(config, dict) and _what(config) == wanted


def _what(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what says on how many processes, and of which kind, the same run is made and shown."""
    trainer = {name: value for name, value in (config.get("trainer") or {}).items() if name not in _NO_RESULT}
    # Processes that divide the batch train on a larger one.
    divided = trainer.get("strategy") == "ddp"
    for name in ("accelerator",) if divided else ("accelerator", "devices", "num_nodes", "strategy"):
        trainer.pop(name, None)
    return {**config, "trainer": trainer}
