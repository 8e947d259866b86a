"""Finished runs, read from their directories."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from torch import Tensor

from polysemantic.storage.checkpoints import checkpoint_of, read_checkpoint


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
