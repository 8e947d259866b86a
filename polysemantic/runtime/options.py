"""Options and callbacks of Lightning's Trainer that would change the results or couple instances."""

from __future__ import annotations

from typing import Any

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
    _check_batches(options)


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
    max_steps = options.get("max_steps", -1)
    if max_steps is None or max_steps < 1:
        raise ValueError(f"`trainer.max_steps` must be at least 1, got {max_steps}.")
    if max_steps >= _MANY_STEPS:
        raise ValueError(f"`trainer.max_steps` must be below 2^53, got {max_steps}.")


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
