"""Files of weights at a step of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def read_snapshot(path: Path) -> tuple[int, dict[str, Tensor]]:
    """The step of a file of weights, and its arrays."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file.files if name != "step"}
        return int(file["step"]), arrays
