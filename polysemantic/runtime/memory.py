"""Memory that a run takes, known before any of it is allocated."""

from __future__ import annotations

import math

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.cli import OptimizerCallable

from polysemantic.distributed import InstanceParallel
from polysemantic.engine.select import spreads
from polysemantic.runtime.free_memory import free_bytes
from polysemantic.training.module import EnsembleModule

# The weights; what convergence remembers of them, in float16 and one bit; and two bits of the initial ones.
_TIMES_PARAMETERS = 1.6


def bytes_per_instance(module: EnsembleModule, batch_size: int, itemsize: int = 4, *, few_at_once: bool = False) -> int:
    """The least number of bytes that training one instance takes.

    Parameters P = n_features * n_hidden, twice that if untied, are there as weights, gradient and each of the
    optimiser's states (two of Adam), and 0.6 P of earlier weights; activations are two of the inputs'
    size and one of the hidden units'.

    Args:
        module: The ensemble.
        batch_size: Inputs of one step.
        itemsize: Bytes of a number.
        few_at_once: Whether gradients and activations exist for only a few instances at a time, so that their share
            of one instance is nothing.
    """
    parameters = module.n_features * module.n_hidden * (1 if module.tied else 2)
    activations = batch_size * (2 * module.n_features + module.n_hidden)
    kept = (_TIMES_PARAMETERS + _optimizer_states(module.optimizer)) * parameters
    return math.ceil(itemsize * (kept if few_at_once else kept + parameters + activations))


def bytes_in_run(trainer: Trainer, module: EnsembleModule, batch_size: int) -> int:
    """The least number of bytes that training one instance takes in a trainer's precision and on its device."""
    dtype = torch.float64 if "64" in str(trainer.precision) else torch.float32
    few_at_once = trainer.strategy.root_device.type == "cpu" and spreads(module, batch_size, dtype)
    return bytes_per_instance(module, batch_size, dtype.itemsize, few_at_once=few_at_once)


def _optimizer_states(make: OptimizerCallable) -> int:
    """Tensors that an optimiser keeps for each parameter, at least: one for each average or momentum that it names."""
    defaults = make([torch.nn.Parameter(torch.zeros(1))]).defaults
    return len(defaults.get("betas", ())) + bool(defaults.get("momentum"))


def memory_line(trainer: Trainer, module: EnsembleModule, batch_size: int, free: float) -> str | None:
    """The error of a run whose instances do not fit into the free memory; None if they fit.

    Args:
        trainer: The trainer of the run.
        module: The ensemble.
        batch_size: Inputs of one step.
        free: Free bytes.
    """
    per_instance = bytes_in_run(trainer, module, batch_size)
    world = trainer.world_size if isinstance(trainer.strategy, InstanceParallel) else 1
    # Processes on the CPUs of one machine share its memory.
    sharing = getattr(trainer.strategy, "num_processes", 1) if trainer.strategy.root_device.type == "cpu" else 1
    wanted = module.ensemble.n_instances
    needed = -(-wanted // world) * sharing * per_instance
    if needed <= free:
        return None
    fit = max(0, int(free // (sharing * per_instance)) * world)
    return (
        f"`ensemble` must fit into memory, got {wanted} instances that take {needed / 1e9:.3g} GB or more "
        f"where {free / 1e9:.3g} GB are free, enough for {fit}."
    )


def check_memory(trainer: Trainer, module: EnsembleModule, batch_size: int) -> None:
    """Refuse more instances than fit into memory, before any is made.

    Raises:
        ValueError: If they do not fit.
    """
    line = memory_line(trainer, module, batch_size, free_bytes(trainer.strategy.root_device))
    if line is not None:
        raise ValueError(line)
