from __future__ import annotations

import functools
import inspect
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning.pytorch import Callback
from torch import Tensor

from polysemantic.callbacks import Checkpoint, CollisionTracker, Convergence, Measurements, Snapshots
from polysemantic.data import InputDataModule
from polysemantic.distributed import check_ranks
from polysemantic.metrics import STANDARD
from polysemantic.model.ensemble import Ensemble
from polysemantic.runtime.memory import check_memory
from polysemantic.runtime.standard_callbacks import standard_callbacks
from polysemantic.runtime.trainer import build_trainer
from polysemantic.storage.continued_run import continued_run
from polysemantic.storage.runs import Run, load
from polysemantic.training.module import EnsembleModule
from polysemantic.validation.replaced import REPLACED, replaced_option


def fit(
    data: InputDataModule,
    *,
    n_hidden: int,
    max_steps: int,
    ensemble: Ensemble | None = None,
    seed_everything: int = 0,
    measurements: Measurements | None = None,
    collisions: CollisionTracker | None = None,
    snapshots: Snapshots | None = None,
    checkpoint: Checkpoint | None = None,
    convergence: Convergence | None = None,
    callbacks: list[Callback] | None = None,
    trainer: dict[str, Any] | None = None,
    ckpt_path: str | Path | None = None,
    **model: Any,
) -> Run:
    """Train an ensemble, as `python -m polysemantic fit` does, and read its run directory.

    Args:
        data: Where the inputs come from.
        n_hidden: Neurons.
        max_steps: Optimiser steps.
        ensemble: The instances.
        seed_everything: Root of all random draws.
        measurements: The callback that measures.
        collisions: The callback that follows collisions.
        snapshots: The callback that keeps weights.
        checkpoint: The callback that writes checkpoints.
        convergence: The callback that notes when instances stop changing, and may stop the run.
        callbacks: Further callbacks.
        trainer: Further options of Lightning's Trainer, such as `default_root_dir`; its `callbacks` act too.
        ckpt_path: A checkpoint to continue, or `last` for the newest of the same configuration.
        **model: Further options of `EnsembleModule`, such as `l1`.

    Returns:
        The run, read back from its files.

    Raises:
        ValueError: If an option breaks its rule.
    """
    _check_replaced(model)
    ensemble = ensemble or Ensemble()
    module = EnsembleModule(data.n_features, n_hidden, ensemble, seed=seed_everything, **model)
    options = {"max_steps": max_steps, **(trainer or {})}
    more = options.pop("callbacks", None) or []
    further = [*(callbacks or []), *([more] if isinstance(more, Callback) else more)]
    configured: dict[str, Any] = {
        "measurements": measurements or Measurements(),
        "collisions": collisions or CollisionTracker(),
        "snapshots": snapshots or Snapshots(),
        "checkpoint": checkpoint or Checkpoint(),
        "convergence": convergence or Convergence(),
    }
    described = {
        "seed_everything": seed_everything,
        "ensemble": ensemble.as_dict(),
        "data": {"class_path": _class_path(type(data)), "init_args": data.arguments()},
        "model": _model_config(module, {"n_hidden": n_hidden, **model}),
        "trainer": options,
        **{name: _given(callback) for name, callback in configured.items()},
    }
    config = yaml.safe_dump(_plain(described), sort_keys=False)
    directory = None
    if ckpt_path is not None:
        continued = continued_run(str(ckpt_path), Path(options.get("default_root_dir") or "."), config)
        directory, ckpt_path = continued.directory, continued.checkpoint
    *first, last = standard_callbacks(**configured, config=config)
    runner = build_trainer([*first, *further, last], directory, **options)
    check_ranks(runner, ensemble)
    check_memory(runner, module, data.batch_size)
    runner.fit(module, datamodule=data, ckpt_path=ckpt_path)
    assert runner.log_dir is not None
    return load(runner.log_dir)


def _check_replaced(model: dict[str, Any]) -> None:
    for name, value in model.items():
        if f"model.{name}" in REPLACED:
            raise ValueError(replaced_option(f"model.{name}", value))


def _class_path(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _model_config(module: EnsembleModule, given: dict[str, Any]) -> dict[str, Any]:
    """The model's options as `fit --print_config` would show them."""
    parameters = inspect.signature(EnsembleModule).parameters.values()
    linked = {"n_features", "ensemble", "seed"}
    config = {p.name: given.get(p.name, p.default) for p in parameters if p.name not in linked}
    optimizer = module.optimization.make_optimizer([torch.nn.Parameter(torch.zeros(1))])
    names = inspect.signature(type(optimizer)).parameters
    defaults = {name: value for name, value in optimizer.defaults.items() if name in names}
    config["optimizer"] = {"class_path": _class_path(type(optimizer)), "init_args": defaults}
    config["autoencoder"] = _class_path(module.autoencoder_class)
    if module.optimization.make_schedule is not None:
        config["lr_scheduler"] = _describe(module.optimization.make_schedule)
    return config


def _given(configured: Any) -> dict[str, Any]:
    """The arguments of a callback or metric that it keeps as attributes of the same names."""
    kept = dict(vars(configured))
    if isinstance(configured, CollisionTracker):
        kept |= configured.thresholds._asdict()
    if isinstance(configured, Measurements):
        more = configured.metrics[len(STANDARD) :]
        kept["metrics"] = [{"class_path": _class_path(type(m)), "init_args": _given(m)} for m in more] or None
    return {name: kept[name] for name in inspect.signature(type(configured)).parameters if name in kept}


def _describe(make: Any) -> dict[str, Any]:
    if isinstance(make, functools.partial):
        return {"class_path": _class_path(make.func), "init_args": make.keywords}
    return {"class_path": getattr(make, "__qualname__", type(make).__qualname__)}


def _plain(value: Any) -> Any:
    """A value that YAML can hold: paths as text, numbers of numpy and torch as numbers, another object as its class."""
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (np.generic, Tensor)):
        return value.tolist()
    return value if value is None or isinstance(value, (str, int, float)) else _class_path(type(value))
