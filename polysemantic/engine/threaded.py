"""Optimiser steps of large networks, spread over threads that do not wait for one another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.optim import Optimizer

from polysemantic.engine.eager import Draws, EagerSteps, replaceable
from polysemantic.engine.fused_optimizer import begin_state, copy_counts, copy_options, of_instances
from polysemantic.kernels.matmul import HalvedProducts, Products, library_is_wide
from polysemantic.kernels.native.amx import TiledProducts
from polysemantic.kernels.native.avx512 import VectorProducts
from polysemantic.kernels.native.matmul import NativeProducts
from polysemantic.model.autoencoder import Autoencoder

# Below this many multiplications of a block's instances in a product the calls cost more than threads win.
_LARGE_PRODUCT = 2**21
# Numbers that stay in the cache from one step to the next, and that a vector register holds.
_IN_CACHE, _VECTOR = 2**20, 16
# Neurons from which on half of the product, by numpy, takes less time than all of it by torch's library at its best.
_WIDE = 512
# The quicker first.
_COMPILED = (TiledProducts, VectorProducts)


def quickest_products(n_features: int, n_hidden: int, dtype: torch.dtype, *, compiled: bool = True) -> Products:
    """The quickest products in one thread of this machine, decided by one instance's shape alone."""
    for kind in _COMPILED if compiled else ():
        if n_features**2 * n_hidden >= kind.least and kind.takes(n_features, n_hidden, dtype):
            return kind()
    if not is_large(n_features, n_hidden):
        return Products()
    return HalvedProducts() if n_hidden >= _WIDE or not library_is_wide() else Products()


def is_large(n_features: int, n_hidden: int) -> bool:
    """Whether one instance's product of W with its own transpose is worth a thread."""
    return n_features**2 * n_hidden >= _LARGE_PRODUCT


def spreading_pays(n_instances: int, batch: int, n_features: int, n_hidden: int, products: Products) -> bool:
    """Whether steps of these instances are quicker where each thread takes those of some, with these products.

    Where that depends on how many there are, products are the same in steps one by one, and with them all bits.
    """
    if is_large(n_features, n_hidden):
        return True
    multiplications = n_instances * batch * n_features * n_hidden
    return isinstance(products, NativeProducts) and multiplications >= 2 * _LARGE_PRODUCT


def block_size(share: int, batch: int | None, n_features: int, n_hidden: int) -> int:
    """How many instances a thread takes together of its share, which is divided evenly.

    As many as the cache holds parameters of, with gradients and moments, and inputs, outputs and hidden activations;
    but enough to be worth its calls.
    """
    parameters, rows = n_features * n_hidden, n_features if batch is None else batch
    numbers = 4 * parameters + (0 if batch is None else batch * (2 * n_features + n_hidden))
    at_most = max(1, _IN_CACHE // numbers, -(-_LARGE_PRODUCT // (rows * parameters)))
    return -(-share // -(-share // at_most))


class _Memory(threading.local):
    """What does not last beyond a step: each thread has its own, whichever instances it has at hand."""

    def get(self, name: str) -> Tensor | None:
        """What is kept under a name, if anything is."""
        return getattr(self, name, None)

    def __setitem__(self, name: str, tensor: Tensor) -> None:
        setattr(self, name, tensor)


class _Block(NamedTuple):
    """A few instances and their steps."""

    instances: slice
    steps: EagerSteps
    memory: _Memory

    def take(self, steps: int, draws: Draws, *, with_loss: bool) -> Tensor | None:
        """So many of their steps, on draws made here: those of the process's threads go on waiting busily for more."""
        for name, parameter in self.steps.network.named_parameters():
            gradient = self.memory.get(name)
            if gradient is None or len(gradient) < len(parameter):
                self.memory[name] = gradient = torch.empty_like(parameter)
            parameter.grad = gradient[: len(parameter)]
        return self.steps(steps, draws.of(self.instances), with_loss=with_loss)


class SpreadSteps:
    """Optimiser steps of which each thread takes those of a few instances, and then of the next that nobody has taken.

    Each instance's products are computed by one thread, few instances at a time so that what a step touches stays in
    the cache; so bits depend neither on how many threads there are nor on the instances beside.

    Args:
        network: The networks, tied, with their standard objective.
        optimizer: Their SGD, Adam or AdamW.
        clip_norm: Largest norm of one instance's gradient.
        compiled: Whether products may be compiled for this processor.
        batch: Inputs of a step; None if they are every feature once, which take no memory.
    """

    unrolled = 1

    def __init__(
        self,
        network: Autoencoder,
        optimizer: Optimizer,
        clip_norm: float | None = None,
        compiled: bool = True,
        batch: int | None = None,
    ) -> None:
        self.network, self.optimizer, self.clip_norm = network, optimizer, clip_norm
        n_features, n_hidden = network.W_enc.shape[1:]
        self.products = quickest_products(n_features, n_hidden, network.W_enc.dtype, compiled=compiled)
        self._threads = torch.get_num_threads()
        # Where rows end within a register, what is computed there depends on where the block ends.
        whole = n_features % _VECTOR == 0
        self._size = block_size(-(-len(network.W_enc) // self._threads), batch, n_features, n_hidden) if whole else 1
        self._libraries = ThreadpoolController()
        self._pool = ThreadPoolExecutor(self._threads, initializer=_compute_alone)
        self._blocks: list[_Block] = []
        self._divided: list[int] = []

    @staticmethod
    def takes(network: Autoencoder, optimizer: Optimizer) -> bool:
        """Whether networks and optimiser can be divided, and large instances are as many as threads."""
        W = network.W_enc
        return (
            replaceable(network, optimizer)
            and network.act == "linear"
            and network.W_dec is None
            and W.device.type == "cpu"
            and W.dtype in (torch.float32, torch.float64)
            and (len(W) >= torch.get_num_threads() or not is_large(*W.shape[1:]))
        )

    @torch.no_grad()
    def __call__(self, steps: int, draws: Draws, *, with_loss: bool = True) -> Tensor | None:
        """See `Steps`."""

        def take(block: _Block) -> Tensor | None:
            return block.take(steps, draws, with_loss=with_loss)

        self._divide()
        # numpy's own threads would wait for the same cores.
        with self._libraries.limit(limits=1, user_api="blas"):
            losses = list(self._pool.map(take, self._blocks))
        torch.set_num_threads(self._threads)  # what a thread says of itself also holds for those to come
        copy_counts(self._blocks[0].steps.optimizer, self.optimizer)
        return torch.cat([loss for loss in losses if loss is not None]) if with_loss else None

    def _divide(self) -> None:
        """Divide the instances, anew if tensors are no longer where they were."""
        parameters = list(self.network.parameters())
        state = [value for parameter in parameters for value in begin_state(self.optimizer, parameter).values()]
        divided = [tensor.data_ptr() for tensor in [*parameters, *self.network.buffers(), *state]]
        if divided != self._divided:
            n_instances, memory = len(self.network.W_enc), _Memory()
            starts = range(0, n_instances, self._size)
            self._blocks = [self._block(slice(at, min(at + self._size, n_instances)), memory) for at in starts]
            self._divided = divided
        for block in self._blocks:
            copy_options(self.optimizer, block.steps.optimizer)
            copy_counts(self.optimizer, block.steps.optimizer)

    def _block(self, instances: slice, memory: _Memory) -> _Block:
        part = self.network.subset(instances).requires_grad_()
        part.products, part.kept = self.products, memory
        optimizer = of_instances(self.optimizer, list(part.parameters()), instances)
        return _Block(instances, EagerSteps(part, optimizer, clip_norm=self.clip_norm), memory)


def _compute_alone() -> None:
    torch.get_num_threads()  # unasked, the first operation would take as many as the process has
    torch.set_num_threads(1)
