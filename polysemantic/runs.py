"""Runs on disk, as they are read: by people, reports and later runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from torch import Tensor

from polysemantic.checkpoints import read_checkpoint
from polysemantic.files import RUNS


@dataclasses.dataclass
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
        dict(_snapshot(path) for path in sorted((directory / "weights").glob("step_*.npz"))),
    )


def _snapshot(path: Path) -> tuple[int, dict[str, Tensor]]:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file.files if name != "step"}
        return int(file["step"]), arrays


def continued_run(ckpt_path: str, root: Path, config: str) -> Path:
    """The run directory that `ckpt_path` continues: that of a checkpoint, or the newest with this configuration.

    Args:
        ckpt_path: A checkpoint, or `last`.
        root: The directory that holds `lightning_logs/`.
        config: The resolved configuration as YAML.

    Raises:
        FileNotFoundError: If there is no such checkpoint or run.
        ValueError: If the checkpoint is damaged or lies in no run directory.
    """
    if ckpt_path == "last":
        return newest_run(root, config)
    read_checkpoint(ckpt_path)
    run = Path(ckpt_path).absolute().parent.parent
    if not (run / "config.yaml").is_file():
        # Its grandparent would otherwise be filled with the files of a run, whatever it is.
        raise ValueError(f"`ckpt_path` must lie in the checkpoints of a run to continue it, got {ckpt_path!r}.")
    return run


def checkpoint_of(run: Path) -> Path:
    """The newest checkpoint of a run."""
    return run / "checkpoints" / "last.ckpt"


def newest_run(root: Path, config: str) -> Path:
    """The newest run below `root` with this configuration and a checkpoint.

    Raises:
        FileNotFoundError: If there is none.
    """
    wanted = yaml.safe_load(config)
    found = [
        path.parent
        for path in (root / RUNS).glob("version_*/config.yaml")
        if checkpoint_of(path.parent).is_file() and yaml.safe_load(path.read_text()) == wanted
    ]
    if not found:
        raise FileNotFoundError(f"`ckpt_path` last must find a run of this configuration in {root / RUNS}, got none.")
    return max(found, key=lambda run: int(run.name.removeprefix("version_")))
