"""Optimiser steps of large networks in threads that do not wait for one another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, NamedTuple

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor
from typing_extensions import override

from polysemantic.engine.base import Plan, PlannedEngine, Training
from polysemantic.engine.batches import BatchStream
from polysemantic.engine.eager import EagerEngine
from polysemantic.engine.fused_optimizer import begin_state, copy_counts, copy_options, of_instances
from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.problem import Problem
from polysemantic.kernels.workspace import KeptWorkspace

# Multiplications of a cache block's instances in a product below which the calls cost more than threads win.
_WORTH_ITS_CALLS = 2**21
# Numbers that stay in the cache from one step to the next, and numbers of a vector register.
_IN_CACHE, _VECTOR = 2**20, 16


def cache_block(problem: Problem) -> int:
    """Instances that a thread trains together: their steps stay in the cache, and are worth their calls.

    The cache holds parameters, gradients and moments, and inputs, outputs and hidden activations. A thread's share of
    the instances is divided evenly.
    """
    if problem.n_features % _VECTOR:
        return 1  # where rows end within a vector register, rounding depends on where a block ends
    share = -(-problem.n_instances // problem.threads)
    parameters = problem.n_features * problem.n_hidden
    activations = 0 if problem.batch is None else problem.batch * (2 * problem.n_features + problem.n_hidden)
    worth_it = -(-_WORTH_ITS_CALLS // problem.multiplications)
    at_most = max(1, _IN_CACHE // (4 * parameters + activations), worth_it)
    return -(-share // -(-share // at_most))


class _Block(NamedTuple):
    """The instances of a cache block and their engine."""

    instances: slice
    engine: EagerEngine
    workspace: KeptWorkspace

    def run(self, steps: int, batches: BatchStream, *, with_loss: bool) -> Tensor | None:
        """Take the steps of these instances, on batches that are drawn in this thread."""
        for name, parameter in self.engine.training.networks.named_parameters():
            parameter.grad = self.workspace.rows(f"gradient of {name}", parameter.detach())
        return self.engine.run(steps, batches.of(self.instances), with_loss=with_loss)


class ThreadedEngine(PlannedEngine):
    """Optimiser steps in a thread pool: each thread takes a cache block of instances, and then the next free one.

    One thread computes all of an instance's products, few instances at a time so that what a step touches stays in the
    cache. So no bit depends on the number of threads or on the instances beside.

    Args:
        training: What it trains, without a schedule.
        plan: The kernel for its products, and how many instances a cache block has.
    """

    name: ClassVar[str] = "threaded"
    needs: ClassVar[str] = (
        "a CPU, tied linear networks of our own class in 32 or 64 bits, SGD, Adam or AdamW without hooks, no "
        "lr_scheduler, a whole batch per process, and as many large networks as threads"
    )
    keeps_gradients: ClassVar[bool] = False

    def __init__(self, training: Training, plan: Plan) -> None:
        super().__init__(training, plan)
        self._threads = torch.get_num_threads()
        self._libraries = ThreadpoolController()
        self._pool = ThreadPoolExecutor(self._threads, initializer=_compute_alone)
        self._blocks: list[_Block] = []
        self._divided: list[int] = []

    @classmethod
    @override
    def supports(cls, problem: Problem) -> bool:
        """Fewer large networks than threads would leave some threads without work."""
        networks = problem.standard and problem.tied and problem.act == "linear" and problem.device == "cpu"
        steps = problem.update.plain and not problem.update.scheduled and not problem.divided
        enough = problem.n_instances >= problem.threads or not problem.is_large
        return networks and steps and enough and problem.dtype in (torch.float32, torch.float64)

    @classmethod
    @override
    def pays(cls, problem: Problem, matmul: type[TorchMatmul]) -> bool:
        """Large networks gain in any case, smaller ones with a kernel for one thread."""
        return problem.is_large or (matmul.pays_by_thread and problem.ensemble_is_large)

    @override
    @torch.no_grad()
    def run(self, steps: int, batches: BatchStream, *, with_loss: bool = True) -> Tensor | None:

        def run(block: _Block) -> Tensor | None:
            return block.run(steps, batches, with_loss=with_loss)

        self._divide()
        # The BLAS library's own threads would wait for the same cores.
        with self._libraries.limit(limits=1, user_api="blas"):
            losses = list(self._pool.map(run, self._blocks))
        torch.set_num_threads(self._threads)  # the threads of the pool have set it for the whole process
        copy_counts(self._blocks[0].engine.training.optimizer, self.training.optimizer)
        return torch.cat([loss for loss in losses if loss is not None]) if with_loss else None

    def _divide(self) -> None:
        """Divide the instances into blocks, once more if a tensor is no longer where it was."""
        networks, optimizer = self.training.networks, self.training.optimizer
        parameters = list(networks.parameters())
        state = [value for parameter in parameters for value in begin_state(optimizer, parameter).values()]
        divided = [tensor.data_ptr() for tensor in [*parameters, *networks.buffers(), *state]]
        if divided != self._divided:
            n_instances, workspace = len(networks.W_enc), KeptWorkspace()
            starts = range(0, n_instances, self.plan.block)
            slices = [slice(start, min(start + self.plan.block, n_instances)) for start in starts]
            self._blocks = [self._block(instances, workspace) for instances in slices]
            self._divided = divided
        for block in self._blocks:
            copy_options(optimizer, block.engine.training.optimizer)
            copy_counts(optimizer, block.engine.training.optimizer)

    def _block(self, instances: slice, workspace: KeptWorkspace) -> _Block:
        some = self.training.networks.subset(instances).requires_grad_()
        optimizer = of_instances(self.training.optimizer, list(some.parameters()), instances)
        training = Training(some, optimizer, clip_norm=self.training.clip_norm)
        return _Block(instances, EagerEngine(training, self.plan, workspace), workspace)


def _compute_alone() -> None:
    torch.get_num_threads()  # unasked, the first operation would take as many threads as the process has
    torch.set_num_threads(1)
