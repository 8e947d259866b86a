from __future__ import annotations

import importlib.util
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from polysemantic.autoencoder import Autoencoder
from polysemantic.compiled import CompiledSteps, can_compile, compiling_pays
from polysemantic.graphed import GraphedSteps
from polysemantic.spread import SpreadSteps
from polysemantic.steps import EagerSteps, Steps, replaceable


def quickest_steps(module: Any, optimizer: Optimizer, schedule: LRScheduler | None) -> Steps:
    """The quickest way of those allowed to take a run's steps: compiled, replayed, spread over threads, or one by one.

    Args:
        module: The `EnsembleModule`.
        optimizer: Its optimiser.
        schedule: Its schedule.
    """
    networks = module.networks
    if networks.W_enc.device.type != "cpu":
        return _on_accelerator(module, optimizer, schedule)
    if _compiles(module, optimizer) and can_compile():
        return CompiledSteps(networks, optimizer)
    if module.spreads and SpreadSteps.takes(networks, optimizer):
        return SpreadSteps(networks, optimizer, module.clip_norm, compiled=module.compile_steps is not False)
    return EagerSteps(networks, optimizer, schedule, module.clip_norm, module.rows)


def _on_accelerator(module: Any, optimizer: Optimizer, schedule: LRScheduler | None) -> Steps:
    networks = module.networks
    if module.compile_steps is True:
        use_tensor_cores(networks)
    if module.rows is None and schedule is None and GraphedSteps.takes(networks, optimizer):
        return GraphedSteps(networks, optimizer, module.clip_norm)
    return EagerSteps(networks, optimizer, schedule, module.clip_norm, module.rows)


def use_tensor_cores(networks: Autoencoder) -> None:
    """Have networks compute large products on a GPU's tensor cores, where there are any and Triton to reach them."""
    if networks.W_enc.is_cuda and importlib.util.find_spec("triton") is not None:
        from polysemantic.tensor_cores import TensorCoreProducts

        if TensorCoreProducts.takes(networks.W_enc):
            networks.products = TensorCoreProducts()


def _compiles(module: Any, optimizer: Optimizer) -> bool:
    """Whether compiled steps are asked for, or left to us and worth their while."""
    if module.rows is not None:
        return False  # what processes exchange in each step is no part of a graph
    if module.compile_steps != "auto":
        return bool(module.compile_steps)
    pays = compiling_pays(module.n_features, module.n_hidden, module.data.batch_size, module.trainer.max_steps)
    fits = module.lr_scheduler is None and module.clip_norm is None
    return pays and fits and replaceable(module.networks, optimizer)
