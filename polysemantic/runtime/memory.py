"""What a run takes of memory, before any of it is taken."""

from __future__ import annotations

import contextlib
import math
import resource
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from polysemantic.distributed import InstanceParallel
from polysemantic.engine.select import spreads

# Weights, what convergence remembers of them, in float16 and a bit, and two bits of the initial ones.
_TIMES_PARAMETERS = 1.6
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def bytes_per_instance(module: Any, batch_size: int, itemsize: int = 4, *, spread: bool = False) -> int:
    """The least that training one instance takes.

    Parameters P = n_features * n_hidden, twice that if untied, are there as weights, gradient and each of the
    optimiser's states (two of Adam), and 0.6 P of earlier weights; activations are two of the inputs'
    size and one of the hidden units'.

    Args:
        module: The `EnsembleModule`.
        batch_size: Inputs of one step.
        itemsize: Bytes of a number.
        spread: Whether gradient and activations are there for a few instances at a time alone.
    """
    parameters: int = module.n_features * module.n_hidden * (1 if module.tied else 2)
    activations: int = batch_size * (2 * module.n_features + module.n_hidden)
    kept = (_TIMES_PARAMETERS + _optimizer_states(module.optimizer)) * parameters
    return math.ceil(itemsize * (kept if spread else kept + parameters + activations))


def bytes_in_run(trainer: Trainer, module: Any, batch_size: int) -> int:
    """The least that training one instance takes in a trainer's precision and on its device."""
    dtype = torch.float64 if "64" in str(trainer.precision) else torch.float32
    spread = trainer.strategy.root_device.type == "cpu" and spreads(module, batch_size, dtype)
    return bytes_per_instance(module, batch_size, dtype.itemsize, spread=spread)


def _optimizer_states(make: Any) -> int:
    """Tensors that an optimiser keeps for each parameter, at least: one for each average or momentum that it names."""
    defaults = make([torch.nn.Parameter(torch.zeros(1))]).defaults
    return len(defaults.get("betas", ())) + bool(defaults.get("momentum"))


def free_bytes(device: torch.device) -> float:
    """Memory that could be taken: of the device, or of this process on the CPU."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return min(_free_of_machine(), *(_free_of_cgroup(*paths) for paths in _CGROUPS), _free_of_process())


def _free_of_machine() -> float:
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return math.inf


def _free_of_cgroup(limit: str, used: str) -> float:
    # No such file, or no number where there is no limit.
    with contextlib.suppress(OSError, ValueError):
        return int(Path(limit).read_text()) - int(Path(used).read_text())
    return math.inf


def _free_of_process() -> float:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    with contextlib.suppress(OSError):
        if limit != resource.RLIM_INFINITY:
            return limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return math.inf


def memory_line(trainer: Trainer, module: Any, batch_size: int, free: float) -> str | None:
    """What the instances of a run take and what fits, None if they do."""
    per_instance = bytes_in_run(trainer, module, batch_size)
    world = trainer.world_size if isinstance(trainer.strategy, InstanceParallel) else 1
    # Processes on one CPU share its memory.
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


def check_memory(trainer: Trainer, module: Any, batch_size: int) -> None:
    """Refuse more instances than fit into memory before any is made.

    Raises:
        ValueError: If there are.
    """
    line = memory_line(trainer, module, batch_size, free_bytes(trainer.strategy.root_device))
    if line is not None:
        raise ValueError(line)
