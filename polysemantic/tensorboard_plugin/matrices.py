"""Snapshots as the page wants them: what there is in a run, and one network's matrix at one step."""

from __future__ import annotations

import functools
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.lib.npyio import NpzFile

from polysemantic.functional import effective_weight
from polysemantic.model.ensemble import Ensemble, point_label
from polysemantic.tensorboard_plugin.listing import KeptRun

# What a file may do that is torn, or no snapshot at all.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error, struct.error)
_KEPT_IN_MEMORY = 24


def describe(run: KeptRun) -> dict[str, Any]:
    """The steps and instances of a run's readable snapshots, and why others are skipped."""
    steps, skipped, instances = [], [], []
    for step, path in run.snapshots.items():
        try:
            instances = _instances(path)
        except _UNREADABLE as error:
            skipped.append(f"{path.name}: {error}")
        else:
            steps.append(step)
    labels = _labels(run.directory, instances)
    return {
        "steps": steps,
        "instances": [list(pair) for pair in zip(instances, labels, strict=True)],
        "skipped": skipped,
    }


def matrix(path: Path, instance: int) -> bytes:
    """One instance's effective weights: number of features and of neurons (uint32), then float16 feature by feature.

    Raises:
        ValueError: If the file is torn, no snapshot, or without this instance.
    """
    try:
        return _matrix(path, path.stat().st_mtime_ns, instance)
    except _UNREADABLE as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error


@functools.lru_cache(_KEPT_IN_MEMORY)
def _matrix(path: Path, modified: int, instance: int) -> bytes:  # noqa: ARG001  a file written anew is read anew
    at = _instances(path).index(instance)
    with path.open("rb") as content, NpzFile(content, allow_pickle=False) as file:
        kept = {name: torch.from_numpy(file[name][at]).float() for name in ("W_enc", "W_dec") if name in file}
    w = effective_weight(kept["W_enc"], kept.get("W_dec")).numpy()
    n_features, n_hidden = w.shape
    largest = np.finfo(np.float16).max
    return struct.pack("<II", n_features, n_hidden) + w.clip(-largest, largest).astype("<f2").tobytes()


def _instances(path: Path) -> list[int]:
    # np.load would leave a torn file open, and take other files for snapshots.
    with path.open("rb") as content, NpzFile(content, allow_pickle=False) as file:
        if "W_enc" not in file:
            raise ValueError("there is no W_enc in it")
        return [int(instance) for instance in file["instance"]]


def _labels(run: Path, instances: list[int]) -> list[str]:
    """What to call instances: by their grid point and seed, as far as the run's configuration can be read."""
    try:
        ensemble = Ensemble(**yaml.safe_load((run / "config.yaml").read_text())["ensemble"])
        places = [divmod(instance, ensemble.seeds) for instance in instances]
        return [f"{point_label(ensemble.points[point])}, seed {seed}" for point, seed in places]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        return [f"instance {instance}" for instance in instances]
