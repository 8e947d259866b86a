from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from polysemantic.engine.compiled import CompiledSteps, can_compile, compiling_pays
from polysemantic.engine.cuda_graph import GraphedSteps
from polysemantic.engine.eager import EagerSteps, Steps, replaceable
from polysemantic.engine.threaded import SpreadSteps, quickest_products, spreading_pays
from polysemantic.kernels.matmul import Products
from polysemantic.kernels.sparse import sparse_pays
from polysemantic.model.autoencoder import Autoencoder

# Compute capabilities of GPUs whose tensor cores multiply bfloat16 more than ten times as fast as the rest float32.
_QUICK_CORES = {(8, 0), (9, 0), (10, 0)}


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
    dtype, data = networks.W_enc.dtype, module.data
    products = _products(module, dtype)
    networks.sparse_inputs = sparse_pays(data.density, products.sparse_up_to, module.n_hidden)
    if _compiles(module, optimizer) and can_compile():
        return CompiledSteps(networks, optimizer)
    if _can_be_spread(module) and SpreadSteps.takes(networks, optimizer):
        if spreads(module, data.batch_size, dtype):
            compiled, batch = module.compile_steps is not False, None if data.every_feature_once else data.batch_size
            return SpreadSteps(networks, optimizer, module.clip_norm, compiled, batch)
        networks.products = products  # those of larger company, with which an instance must have the same bits
    return EagerSteps(networks, optimizer, schedule, module.clip_norm, module.rows)


def spreads(module: Any, batch_size: int, dtype: torch.dtype) -> bool:
    """Whether steps are spread over threads, as far as the module and its sizes and not the optimiser decide.

    Args:
        module: The `EnsembleModule`.
        batch_size: Inputs of one step.
        dtype: Of its weights.
    """
    sizes = module.shard.size, batch_size, module.n_features, module.n_hidden
    return _can_be_spread(module) and spreading_pays(*sizes, _products(module, dtype))


def _can_be_spread(module: Any) -> bool:
    return module.rows is None and module.lr_scheduler is None and module.tied and module.act == "linear"


def _products(module: Any, dtype: torch.dtype) -> Products:
    return quickest_products(module.n_features, module.n_hidden, dtype, compiled=module.compile_steps is not False)


def _on_accelerator(module: Any, optimizer: Optimizer, schedule: LRScheduler | None) -> Steps:
    networks = module.networks
    if module.compile_steps is True or (module.compile_steps == "auto" and tensor_cores_pay(networks.W_enc.device)):
        use_tensor_cores(networks)
    if module.rows is None and schedule is None and GraphedSteps.takes(networks, optimizer):
        return GraphedSteps(networks, optimizer, module.clip_norm)
    return EagerSteps(networks, optimizer, schedule, module.clip_norm, module.rows)


def tensor_cores_pay(device: torch.device) -> bool:
    """Whether three products of bfloat16 on a GPU's tensor cores are quicker than one of float32 beside them.

    Made to be three times as quick and more on those for data centres (A100, H100, B100 and their kin; measured on an
    H200), and no quicker on others.
    """
    nvidia = device.type == "cuda" and torch.version.cuda is not None
    return nvidia and torch.cuda.get_device_capability(device) in _QUICK_CORES


def use_tensor_cores(networks: Autoencoder) -> None:
    """Have networks compute large products on a GPU's tensor cores, where there are any and Triton to reach them."""
    if networks.W_enc.is_cuda and importlib.util.find_spec("triton") is not None:
        from polysemantic.kernels.tensor_cores import TensorCoreProducts

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
