"""The settings of a run as columns of its results, so that the tables of several runs can be told apart."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Trainer

from polysemantic.data import InputDataModule
from polysemantic.results.columns import COLUMNS, SETTING, Column, by_name
from polysemantic.training.module import EnsembleModule

Value = str | float | bool | None

# What implements an optimiser's updates and leaves them alone, and what a schedule says of its progress.
_NO_SETTING = {"foreach", "fused", "capturable", "differentiable", "last_epoch"}
# A list of more numbers than this is no setting that a table should repeat for every network.
_LONG = 16


def setting_columns(module: EnsembleModule, trainer: Trainer, run: str) -> dict[str, Value]:
    """Every scalar setting of a run that does not vary in it, by the name of its column.

    A column is called by the last part of the option's name on the command line, or by the whole name if another
    column has the last part.

    Args:
        module: The module.
        trainer: Its trainer.
        run: The name of the run directory.
    """
    whole: dict[str, Value] = {
        "run": run,
        "seed_everything": module.seed,
        "trainer.max_steps": trainer.max_steps,
        "trainer.precision": int(str(trainer.precision).partition("-")[0]),
    }
    return _named(whole | dict(_of_model(module)) | dict(_of_data(module.data)), module)


def declared_settings(module: EnsembleModule) -> set[str]:
    """The names of the settings that depend on the classes of a run, which no metric's column may have."""
    return set(_named(dict(_of_model(module)) | dict(_of_data(module.data)), module))


def with_settings(results: pd.DataFrame, settings: Mapping[str, Value]) -> pd.DataFrame:
    """Results with a column for each setting, whose type is that of the setting's values in any other run."""
    return results.assign(**{name: _series(value, name, len(results)) for name, value in settings.items()})


def describe_settings(settings: Mapping[str, Value]) -> dict[str, Column]:
    """What is to be known of the columns of settings that not every run has."""
    return by_name(Column(name, SETTING) for name in settings if name not in COLUMNS)


def _named(values: Mapping[str, Value], module: EnsembleModule) -> dict[str, Value]:
    """Settings under the names of their columns, without what varies."""
    vary = module.ensemble.vary
    knobs = {f"model.{name}" for name in module.can_vary} | {f"data.{name}" for name in module.data.can_vary}
    taken = {name for name, column in COLUMNS.items() if column.group != SETTING} | set(vary)
    named: dict[str, Value] = {}
    for key, value in values.items():
        short = key.rpartition(".")[2]
        if key not in knobs or short not in vary:
            named[key if short in taken or short in named else short] = value
    return named


def _of_model(module: EnsembleModule) -> Iterator[tuple[str, Value]]:
    for name in ("tied", "bias", "act", "noise", "init"):
        yield f"model.{name}", getattr(module, name)
    yield from ((f"model.{name}", value) for name, value in module.numbers.items())
    yield "model.init_from", module.recipe.init_from
    yield "model.clip_norm", module.clip_norm
    yield "model.autoencoder", module.autoencoder_class.__name__
    make, make_schedule = module.optimization.make_optimizer, module.optimization.make_schedule
    optimizer = make([torch.nn.Parameter(torch.zeros(1))])
    yield "model.optimizer", type(optimizer).__name__
    fixed: dict[str, Any] = {"lr": None, "weight_decay": None}
    yield from _options("model.optimizer", type(optimizer), fixed | optimizer.defaults, fixed)
    schedule: Any = None if make_schedule is None else make_schedule(optimizer)
    yield "model.lr_scheduler", None if schedule is None else type(schedule).__name__
    if schedule is not None:
        yield from _options("model.lr_scheduler", type(schedule), schedule.state_dict())


def _options(
    key: str, kind: type, kept: Mapping[str, Any], always: Collection[str] = ()
) -> Iterator[tuple[str, Value]]:
    """The options of a class among what an object of it keeps."""
    names = set(inspect.signature(kind).parameters) - _NO_SETTING
    for name, value in kept.items():
        if name in always and value is None:
            yield f"{key}.{name}", None
        elif name in always or name in names:
            yield from _plain(f"{key}.{name}", value)


def _of_data(data: InputDataModule) -> Iterator[tuple[str, Value]]:
    # Of all processes together: their number does not tell runs apart.
    yield "data.batch_size", data.batch_size
    for name, value in data.arguments().items():
        if name not in ("n_features", "batch_size"):
            yield from _plain(f"data.{name}", value)


def _plain(key: str, value: Any) -> Iterator[tuple[str, Value]]:
    """A scalar as it is, a few numbers or words as a text, and nothing of anything else."""
    if isinstance(value, (np.generic, torch.Tensor)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, (str, int, float)):
        yield key, value
    elif isinstance(value, (list, tuple, Mapping)) and len(value) <= _LONG:
        items = list(value)
        if all(isinstance(item, (str, int, float)) for item in items):
            yield key, ", ".join(map(str, items))


def _series(value: Value, name: str, length: int) -> pd.Series[Any]:
    """A column of one value; without a value, of the type that other runs have."""
    column = COLUMNS.get(name)
    number = column is not None and column.range[0] > -math.inf
    if value is None:
        return pd.Series([math.nan] * length) if number else pd.Series([None] * length, dtype="string")
    if number and column is not None and not column.counts:
        value = float(value)
    return pd.Series([value] * length)
