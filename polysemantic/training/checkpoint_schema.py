"""The settings that a checkpoint shares with every run that may continue it."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from polysemantic.data import InputDataModule

CHECKPOINT_FORMAT = 4
# Options that choose an implementation of the optimiser and leave its updates alone.
_IMPLEMENTATION = {"foreach", "fused", "capturable", "differentiable"}


def optimizer_settings(make: Any) -> dict[str, Any]:
    """An optimiser's class and hyperparameters.

    A checkpoint restores its own hyperparameters, so a run that asks for others must be refused.

    Args:
        make: Makes the optimiser of a list of parameters.

    Raises:
        ValueError: If `make` fails, or the optimiser is `differentiable`.
    """
    optimizer = _optimizer(make)
    if optimizer.defaults.get("differentiable"):
        raise ValueError(
            "`optimizer.differentiable` must be false, as no run differentiates through its steps, got true."
        )
    kept = {
        name: value
        for name, value in optimizer.defaults.items()
        if name not in _IMPLEMENTATION and isinstance(value, (int, float, tuple))
    }
    return {"class": type(optimizer).__name__, **kept}


def schedule_settings(make: Any, make_optimizer: Any) -> dict[str, Any] | None:
    """A learning-rate schedule's class and hyperparameters, which a checkpoint restores too; None without a schedule.

    Args:
        make: Makes the schedule of an optimiser, or None.
        make_optimizer: Makes the optimiser of a list of parameters.

    Raises:
        ValueError: If `make` or `make_optimizer` fails.
    """
    if make is None:
        return None
    schedule: LRScheduler = _call("lr_scheduler", make, _optimizer(make_optimizer))
    kept = {name: value for name, value in schedule.state_dict().items() if name[0] != "_" and _is_numbers(value)}
    return {"class": type(schedule).__name__, **kept}


def _optimizer(make: Any) -> Optimizer:
    optimizer: Optimizer = _call("optimizer", make, [torch.nn.Parameter(torch.zeros(1))])
    return optimizer


def _call(name: str, make: Any, argument: Any) -> Any:
    try:
        return make(argument)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be one that can be made, got an error: {error}") from error


def _is_numbers(value: Any) -> bool:
    several = value if isinstance(value, (list, tuple, dict)) else [value]
    return all(isinstance(number, (int, float)) for number in several)


def input_settings(data: InputDataModule) -> dict[str, Any]:
    """A DataModule's class and plain arguments, without the path of a file of inputs, which may move."""
    kept = {
        name: value
        for name, value in data.arguments().items()
        if isinstance(value, (bool, int, float, str)) and name != "path"
    }
    # The batch size of all processes together: a run may be continued by another number of processes.
    return {"class": type(data).__name__, **kept, "batch_size": data.batch_size}


def check_identity(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuse a checkpoint whose settings differ from those of the run.

    Args:
        found: The settings in the checkpoint.
        expected: The settings of the run.

    Raises:
        ValueError: If a setting differs; the message names the first one.
    """
    for name, value in {"format": CHECKPOINT_FORMAT, **expected}.items():
        if found.get(name) != value:
            raise ValueError(f"`ckpt_path` must hold {name} {value}, got {found.get(name)}.")
