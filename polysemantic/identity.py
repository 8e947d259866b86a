"""What a checkpoint must agree on with the run that continues it."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer

CHECKPOINT_FORMAT = 3
# How an optimiser computes, not what.
_WAYS = {"foreach", "fused", "capturable", "differentiable"}


def optimizer_settings(make: Any) -> dict[str, Any]:
    """An optimiser's class and numbers: a checkpoint brings its own, and others would be passed over without a word."""
    optimizer: Optimizer = make([torch.nn.Parameter(torch.zeros(1))])
    kept = {
        name: value
        for name, value in optimizer.defaults.items()
        if name not in _WAYS and isinstance(value, (int, float, tuple))
    }
    return {"class": type(optimizer).__name__, **kept}


def check_identity(found: dict[str, Any], expected: dict[str, Any], *, training: bool) -> None:
    """Refuse a checkpoint of another run.

    Args:
        found: What the checkpoint says of its run.
        expected: What the run says of itself.
        training: Whether it will be trained on, and so needs the same optimiser.

    Raises:
        ValueError: If they differ; the message names what.
    """
    for name, value in {"format": CHECKPOINT_FORMAT, **expected}.items():
        if (training or name != "optimizer") and found.get(name) != value:
            raise ValueError(f"`ckpt_path` must hold {name} {value}, got {found.get(name)}.")
