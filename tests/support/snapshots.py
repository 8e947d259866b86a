"""Snapshots of weights, written as a run writes them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_snapshot(run: Path, step: int, **arrays: NDArray[Any]) -> Path:
    """Write one file of a run directory's `weights/`, and give its path."""
    (run / "weights").mkdir(parents=True, exist_ok=True)
    path = run / "weights" / f"step_{step:09d}.npz"
    np.savez(path, allow_pickle=False, step=np.array(step), **arrays)
    return path
