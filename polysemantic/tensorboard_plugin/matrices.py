"""Snapshots in the form that the page reads: the content of a run, and one instance's weights at one step."""

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

# Errors of reading a damaged file, or a file that is no snapshot.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error, struct.error)
_KEPT_IN_MEMORY = 24


def describe(run: KeptRun) -> dict[str, Any]:
    """The steps and instances of a run's readable snapshots, and the reasons for which other files are skipped."""
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
    """One instance's effective weights: numbers of features and neurons as uint32, then the weights as float16.

    The weights are in order of features, and all numbers are little-endian.

    Raises:
        ValueError: If the file is damaged, no snapshot, or without this instance.
    """
    try:
        return _matrix(path, path.stat().st_mtime_ns, instance)
    except _UNREADABLE as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error


@functools.lru_cache(_KEPT_IN_MEMORY)
def _matrix(path: Path, modified: int, instance: int) -> bytes:  # noqa: ARG001  A file that was rewritten is read again.
    at = _instances(path).index(instance)
    with path.open("rb") as content, NpzFile(content, allow_pickle=False) as file:
        kept = {name: torch.from_numpy(file[name][at]).float() for name in ("W_enc", "W_dec") if name in file}
    w = effective_weight(kept["W_enc"], kept.get("W_dec")).numpy()
    n_features, n_hidden = w.shape
    largest = np.finfo(np.float16).max
    return struct.pack("<II", n_features, n_hidden) + w.clip(-largest, largest).astype("<f2").tobytes()


def _instances(path: Path) -> list[int]:
    # np.load would leave a damaged file open, and would also read files of other kinds.
    with path.open("rb") as content, NpzFile(content, allow_pickle=False) as file:
        if "W_enc" not in file:
            raise ValueError("there is no W_enc in it")
        return [int(instance) for instance in file["instance"]]


def _labels(run: Path, instances: list[int]) -> list[str]:
    """A label for each instance: its grid point and seed, or its index where the configuration cannot be read."""
    try:
        ensemble = Ensemble(**yaml.safe_load((run / "config.yaml").read_text())["ensemble"])
        places = [divmod(instance, ensemble.seeds) for instance in instances]
        return [f"{point_label(ensemble.points[point])}, seed {seed}" for point, seed in places]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        return [f"instance {instance}" for instance in instances]
