"""What a checkpoint must agree on with the run that continues it."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from polysemantic.data import InputDataModule

CHECKPOINT_FORMAT = 4
# How an optimiser computes, not what.
_WAYS = {"foreach", "fused", "capturable", "differentiable"}


def optimizer_settings(make: Any) -> dict[str, Any]:
    """An optimiser's class and numbers: a checkpoint brings its own, and others would be passed over without a word.

    Raises:
        ValueError: If it cannot be made, or is to be differentiated through.
    """
    optimizer = _optimizer(make)
    if optimizer.defaults.get("differentiable"):
        raise ValueError(
            "`optimizer.differentiable` must be false, as no run differentiates through its steps, got true."
        )
    kept = {
        name: value
        for name, value in optimizer.defaults.items()
        if name not in _WAYS and isinstance(value, (int, float, tuple))
    }
    return {"class": type(optimizer).__name__, **kept}


def schedule_settings(make: Any, make_optimizer: Any) -> dict[str, Any] | None:
    """A schedule's class and numbers, which a checkpoint brings too; None of no schedule.

    Raises:
        ValueError: If it cannot be made.
    """
    if make is None:
        return None
    schedule: LRScheduler = _made("lr_scheduler", make, _optimizer(make_optimizer))
    kept = {name: value for name, value in schedule.state_dict().items() if name[0] != "_" and _is_numbers(value)}
    return {"class": type(schedule).__name__, **kept}


def _optimizer(make: Any) -> Optimizer:
    optimizer: Optimizer = _made("optimizer", make, [torch.nn.Parameter(torch.zeros(1))])
    return optimizer


def _made(name: str, make: Any, of: Any) -> Any:
    try:
        return make(of)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be one that can be made, got an error: {error}") from error


def _is_numbers(value: Any) -> bool:
    several = value if isinstance(value, (list, tuple, dict)) else [value]
    return all(isinstance(number, (int, float)) for number in several)


def input_settings(data: InputDataModule) -> dict[str, Any]:
    """A DataModule's class and plain arguments; where a file of inputs lies is no matter."""
    kept = {
        name: value
        for name, value in data.arguments().items()
        if isinstance(value, (bool, int, float, str)) and name != "path"
    }
    # Of all processes together, which may be of another number.
    return {"class": type(data).__name__, **kept, "batch_size": data.batch_size}


def check_identity(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuse a checkpoint of another run.

    Args:
        found: What the checkpoint says of its run.
        expected: What the run says of itself.

    Raises:
        ValueError: If they differ; the message names what.
    """
    for name, value in {"format": CHECKPOINT_FORMAT, **expected}.items():
        if found.get(name) != value:
            raise ValueError(f"`ckpt_path` must hold {name} {value}, got {found.get(name)}.")
