"""Options and callbacks of Lightning's Trainer that would change the results or couple instances."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

# Above this number float64 no longer tells neighbouring steps apart.
_MANY_STEPS = 2**53
# Options of Lightning that count batches, with their defaults.
_OF_BATCHES = {
    "max_epochs": -1,
    "min_epochs": None,
    "min_steps": None,
    "limit_train_batches": None,
    "overfit_batches": 0,
    "val_check_interval": None,
}
# Callbacks of Lightning that act at the ends of epochs, which our runs do not have, and the options to use instead.
_OF_EPOCHS = {EarlyStopping: "`convergence.stop` ends a run", ModelCheckpoint: "`checkpoint` writes checkpoints"}


def check_options(options: dict[str, Any]) -> None:
    """Refuse options of the Trainer that our runs cannot honour.

    Raises:
        ValueError: If there is one.
    """
    _check_training(options)
    _check_steps(options.get("max_steps", -1))
    _check_batches(options)
    _check_devices(options.get("devices", "auto"))


def _check_training(options: dict[str, Any]) -> None:
    precision = options.get("precision")
    if precision not in (None, 32, 64, "32", "64", "32-true", "64-true"):
        raise ValueError(f"`trainer.precision` must be 32 or 64, got {precision!r}.")
    accumulated = options.get("accumulate_grad_batches", 1)
    if accumulated != 1:
        raise ValueError(f"`trainer.accumulate_grad_batches` must be 1, got {accumulated}; raise `batch_size` instead.")
    if options.get("fast_dev_run"):
        raise ValueError("`trainer.fast_dev_run` must be unset, got true: a small `trainer.max_steps` does as well.")
    if options.get("enable_checkpointing") is False:
        rule = "be unset: `checkpoint.every_n_seconds` says how often checkpoints are written"
        raise ValueError(f"`trainer.enable_checkpointing` must {rule}, got false.")
    clip = options.get("gradient_clip_val")
    if clip is not None:
        raise ValueError(
            f"`trainer.gradient_clip_val` must be unset, got {clip}: it would couple instances; "
            "`model.clip_norm` clips each by itself."
        )
    if options.get("barebones"):
        raise ValueError("`trainer.barebones` must be unset, as it forbids what a run leaves, got true.")


def _check_steps(max_steps: Any) -> None:
    if max_steps is None or max_steps < 1:
        raise ValueError(f"`trainer.max_steps` must be at least 1, got {max_steps}.")
    if max_steps >= _MANY_STEPS:
        raise ValueError(f"`trainer.max_steps` must be below 2^53, got {max_steps}.")


def _check_devices(devices: Any) -> None:
    """Refuse what is neither a number of devices, nor their indices."""
    numbers = devices if isinstance(devices, list) else str(devices).split(",")
    is_list = len(numbers) > 1 or isinstance(devices, list)
    whole = [re.fullmatch(r"\s*\d+\s*", str(number)) is not None for number in numbers]
    if str(devices) in ("auto", "-1") or (numbers and all(whole) and (is_list or int(numbers[0]) > 0)):
        return
    rule = "be auto, a number of at least 1, -1 for all, or a list of their indices"
    raise ValueError(f"`trainer.devices` must {rule}, got {devices!r}.")


@contextlib.contextmanager
def explained(options: dict[str, Any]) -> Iterator[None]:
    """Say in one line what Lightning's Trainer, made within this context, does not accept on this machine.

    Args:
        options: Its options.

    Raises:
        ValueError: If the Trainer cannot be made because of its devices, its accelerator or the type of an option.
    """
    try:
        yield
    except (TypeError, ValueError, ModuleNotFoundError, MisconfigurationException) as error:
        text = " ".join(str(error).split())
        accelerator, devices = options.get("accelerator", "auto"), options.get("devices", "auto")
        if re.search(r"\bdevices\b", text):
            rule = "be a number of processes, or on GPUs the indices of some that are here"
            raise ValueError(f"`trainer.devices` must {rule}, got {devices!r}.") from error
        if isinstance(error, ModuleNotFoundError) or re.search("accelerator|backend", text):
            rule = "be auto, cpu, or a kind of device that is here"
            raise ValueError(f"`trainer.accelerator` must {rule}, got {accelerator!r} ({text})") from error
        if isinstance(error, TypeError):
            raise ValueError(f"`trainer` must hold options that fit their types, got an error: {text}") from error
        raise


def _check_batches(options: dict[str, Any]) -> None:
    for name, default in _OF_BATCHES.items():
        if options.get(name, default) not in (None, default):
            rule = "be unset, as a batch here is as many steps as half a second holds"
            raise ValueError(f"`trainer.{name}` must {rule}, got {options[name]}; `trainer.max_steps` ends a run.")


def check_callbacks(callbacks: list[Callback]) -> None:
    """Refuse callbacks of Lightning that act at the ends of epochs.

    Raises:
        ValueError: If there is one.
    """
    for callback in callbacks:
        for kind, instead in _OF_EPOCHS.items():
            if isinstance(callback, kind):
                raise ValueError(f"`trainer.callbacks` must hold no {kind.__name__}, got one: {instead}.")
