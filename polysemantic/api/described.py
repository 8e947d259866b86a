"""The configuration of a fit from Python, as the command line would write it."""

from __future__ import annotations

import functools
import inspect
import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polysemantic.callbacks import CollisionTracker, Measurements
from polysemantic.metrics import STANDARD
from polysemantic.training.module import EnsembleModule


def class_path(kind: Any) -> str:
    """Where a class is imported from."""
    return f"{kind.__module__}.{kind.__qualname__}"


def model_config(module: EnsembleModule, given: dict[str, Any]) -> dict[str, Any]:
    """The model's options as `fit --print_config` would show them.

    Args:
        module: The module that was made of them.
        given: All options of the model.
    """
    config = dict(given)
    optimizer = module.optimization.make_optimizer([torch.nn.Parameter(torch.zeros(1))])
    names = inspect.signature(type(optimizer)).parameters
    defaults = {name: value for name, value in optimizer.defaults.items() if name in names}
    config["optimizer"] = {"class_path": class_path(type(optimizer)), "init_args": defaults}
    config["autoencoder"] = class_path(module.autoencoder_class)
    if module.optimization.make_schedule is not None:
        config["lr_scheduler"] = _describe(module.optimization.make_schedule)
    return config


def given_arguments(configured: Any) -> dict[str, Any]:
    """The arguments of a callback or metric that it keeps as attributes of the same names."""
    kept = dict(vars(configured))
    if isinstance(configured, CollisionTracker):
        kept |= configured.thresholds._asdict()
    if isinstance(configured, Measurements):
        more = configured.metrics[len(STANDARD) :]
        kept["metrics"] = [{"class_path": class_path(type(m)), "init_args": given_arguments(m)} for m in more] or None
    return {name: kept[name] for name in inspect.signature(type(configured)).parameters if name in kept}


def _describe(make: Any) -> dict[str, Any]:
    if isinstance(make, functools.partial):
        return {"class_path": class_path(make.func), "init_args": make.keywords}
    return {"class_path": getattr(make, "__qualname__", type(make).__qualname__)}


def plain(value: Any) -> Any:
    """A value that YAML can hold: paths as text, numbers of numpy and torch as numbers, another object as its class."""
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (np.generic, Tensor)):
        return value.tolist()
    return value if value is None or isinstance(value, (str, int, float)) else class_path(type(value))
