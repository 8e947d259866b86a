from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable

from polysemantic import random
from polysemantic.api.described import class_path, given_arguments, model_config, plain
from polysemantic.callbacks import Checkpoint, CollisionTracker, Convergence, Measurements, Snapshots
from polysemantic.data import InputDataModule
from polysemantic.distributed import check_ranks
from polysemantic.engine.select import EngineName, KernelsName
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.ensemble import Ensemble
from polysemantic.model.initialisation import Init
from polysemantic.model.objective import Act
from polysemantic.results.runs import Run, load_run
from polysemantic.runtime.memory import check_memory
from polysemantic.runtime.standard_callbacks import standard_callbacks
from polysemantic.runtime.trainer import build_trainer
from polysemantic.storage.continued_run import continued_run
from polysemantic.training.module import EnsembleModule
from polysemantic.validation.arguments import checked_arguments, short_repr
from polysemantic.validation.checks import check_seed
from polysemantic.validation.suggestions import did_you_mean
from polysemantic.validation.unknown_options import known_as, meant_by

# Arguments that take an object of a class, whose own arguments users give to `fit` itself.
_HELD = {
    "ensemble": Ensemble,
    "measurements": Measurements,
    "collisions": CollisionTracker,
    "snapshots": Snapshots,
    "checkpoint": Checkpoint,
    "convergence": Convergence,
}
_OF_TRAINER = inspect.signature(Trainer).parameters
_MEANT_OF_TRAINER = {
    "accelerator": "device gpu gpus cuda",
    "default_root_dir": "root root_dir dir directory log_dir output output_dir save_dir path",
    "enable_progress_bar": "progress progress_bar verbose quiet silent",
}


def _meant(name: str, arguments: Mapping[str, Any], known: list[str]) -> str:
    """What an unknown option may have meant: an argument of the inputs, of a callback or of the trainer, or a typo."""
    given, data = f"{name}={short_repr(arguments[name])}", arguments.get("data")
    held = {kind: f"`{option}`, such as {option}={kind.__name__}({given})" for option, kind in _HELD.items()}
    others = {kind: f"other inputs, such as {kind.__name__}({given})" for kind in InputDataModule.__subclasses__()}
    inputs = type(data) if isinstance(data, InputDataModule) else InputDataModule
    kinds: dict[type, str] = {inputs: f"the inputs, such as {inputs.__name__}({given})"} | held
    if (said := _argument_of(name, kinds) or known_as(name, arguments, known)) != "":
        return said
    for option in (name, *(option for option, words in _MEANT_OF_TRAINER.items() if name in words.split())):
        if option in _OF_TRAINER:
            return f": it is an option of the trainer, such as trainer={{'{option}': ...}}"
    return _argument_of(name, others) or meant_by(name, arguments, known)


def _argument_of(name: str, kinds: Mapping[type, str]) -> str:
    found = (whose for kind, whose in kinds.items() if name in inspect.signature(kind).parameters)
    return next((f": it is an argument of {whose}" for whose in found), "")


@checked_arguments(_meant)
def fit(
    data: InputDataModule,
    *,
    n_hidden: int,
    max_steps: int,
    ensemble: Ensemble | None = None,
    tied: bool = True,
    bias: bool = False,
    act: Act = "linear",
    l1: float = 0.001,
    importance: float = 1.0,
    noise: random.NoiseLaw = "bernoulli",
    noise_std: float = 0.0,
    init: Init = "normal",
    init_scale: float = 1.0,
    init_from: str | None = None,
    optimizer: OptimizerCallable = lambda parameters: torch.optim.AdamW(parameters, lr=0.001),
    lr_scheduler: LRSchedulerCallable | None = None,
    clip_norm: float | None = None,
    inner_steps: int | None = None,
    engine: EngineName = "auto",
    kernels: KernelsName = "auto",
    autoencoder: type[Autoencoder] = Autoencoder,
    seed_everything: int = 0,
    measurements: Measurements | None = None,
    collisions: CollisionTracker | None = None,
    snapshots: Snapshots | None = None,
    checkpoint: Checkpoint | None = None,
    convergence: Convergence | None = None,
    callbacks: list[Callback] | Callback | None = None,
    trainer: dict[str, Any] | None = None,
    ckpt_path: str | Path | None = None,
) -> Run:
    """Train an ensemble, as `python -m polysemantic fit` does, and read its run directory.

    Args:
        data: Where the inputs come from.
        n_hidden: Neurons.
        max_steps: Optimiser steps.
        ensemble: The instances: seeds, and the grid of what varies; None for 16 seeds.
        tied: Whether the decoder is the encoder itself.
        bias: Whether the outputs have a bias, initially 0.
        act: Activation of the hidden units.
        l1: Weight of the L1 penalty on hidden activations. Can vary.
        importance: Ratio of one feature's weight in the loss to that of the feature before it, in (0, 1]. Can vary.
        noise: Law of the hidden noise in training.
        noise_std: Standard deviation of the hidden noise. Can vary.
        init: Initial weights.
        init_scale: Factor of the initial weights. Can vary.
        init_from: Checkpoint whose weights to start from, with a fresh optimiser; instead of `init`.
        optimizer: Makes the optimiser of a list of parameters; a class of `torch.optim` or the user's that treats its
            parameters elementwise. The learning rate is its option.
        lr_scheduler: Makes the schedule of an optimiser's learning rate, in optimiser steps.
        clip_norm: Largest norm of one instance's gradient.
        inner_steps: Optimiser steps between two returns to the trainer; None keeps the progress bar alive at no cost.
        engine: How optimiser steps are taken; `auto` is the quickest way for the shape, the length of the run and the
            machine.
        kernels: How matrices are multiplied: `auto` by kernels of our own where they are quicker, or by `torch` alone.
        autoencoder: The network, `Autoencoder` or a subclass.
        seed_everything: Root of all random draws, a whole number in [0, 2^32).
        measurements: The callback that measures.
        collisions: The callback that follows collisions.
        snapshots: The callback that keeps weights.
        checkpoint: The callback that writes checkpoints.
        convergence: The callback that notes when instances stop changing, and may stop the run.
        callbacks: Further callbacks.
        trainer: Further options of Lightning's Trainer, such as `default_root_dir`; its `callbacks` act too.
        ckpt_path: A checkpoint to continue, or `last` for the newest of the same configuration.

    Returns:
        The run, read back from its files.

    Raises:
        ValueError: If an option is of another kind or breaks its rule.
        TypeError: If an option is unknown.

    Example:
        >>> from polysemantic.data import OneHot
        >>> run = fit(OneHot(8), n_hidden=8, max_steps=1000, l1=0.01)  # doctest: +SKIP
        >>> run.results["polysemantic_neurons"].mean()  # doctest: +SKIP
    """
    check_seed(seed_everything)
    ensemble = ensemble or Ensemble()
    # As `fit --print_config` has them.
    model: dict[str, Any] = {
        "n_hidden": n_hidden,
        "tied": tied,
        "bias": bias,
        "act": act,
        "l1": l1,
        "importance": importance,
        "noise": noise,
        "noise_std": noise_std,
        "init": init,
        "init_scale": init_scale,
        "init_from": init_from,
        "optimizer": optimizer,
        "lr_scheduler": lr_scheduler,
        "clip_norm": clip_norm,
        "inner_steps": inner_steps,
        "engine": engine,
        "kernels": kernels,
        "autoencoder": autoencoder,
    }
    module = EnsembleModule(data.n_features, ensemble=ensemble, seed=seed_everything, **model)
    options = {"max_steps": max_steps, **(trainer or {})}
    for name in options:
        if name not in _OF_TRAINER:
            near = did_you_mean(name, _OF_TRAINER) or "."
            raise ValueError(f"`trainer` must hold options of Lightning's Trainer alone, got {name}{near}")
    further = [*_listed(callbacks), *_listed(options.pop("callbacks", None))]
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
        "data": {"class_path": class_path(type(data)), "init_args": data.arguments()},
        "model": model_config(module, model),
        "trainer": options,
        **{name: given_arguments(callback) for name, callback in configured.items()},
    }
    config = yaml.safe_dump(plain(described), sort_keys=False)
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
    return load_run(runner.log_dir)


def _listed(callbacks: list[Callback] | Callback | None) -> list[Callback]:
    return [callbacks] if isinstance(callbacks, Callback) else list(callbacks or [])
