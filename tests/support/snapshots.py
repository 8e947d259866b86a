"""Snapshots of weights, written as a run writes them."""

import numpy as np


def write_snapshot(run, step, **arrays):
    """Write one file of a run directory's `weights/`, and give its path."""
    (run / "weights").mkdir(parents=True, exist_ok=True)
    path = run / "weights" / f"step_{step:09d}.npz"
    np.savez(path, step=np.array(step), **arrays)
    return path
