"""Optimiser steps on a GPU, recorded once and replayed: launching them one by one takes longer than most of them."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from polysemantic.engine.base import Plan, PlannedEngine, Training
from polysemantic.engine.batches import BatchStream, given_batches
from polysemantic.engine.eager import EagerEngine
from polysemantic.kernels.problem import Problem

# Steps in a graph: enough to drown the cost of its launch, few enough to be recorded in milliseconds.
_RECORDED = 32

Inputs = list[Tensor | None]
"""Inputs and noise of some steps, each with an axis of steps; None where nothing is drawn."""


class CudaGraphEngine(PlannedEngine):
    """Optimiser steps in CUDA graphs of the same kernels that the eager engine launches one by one.

    Args:
        training: What it trains, without a schedule.
        plan: The kernel for its products.
    """

    name: ClassVar[str] = "cuda_graph"
    needs: ClassVar[str] = (
        "a CUDA device, networks of our own class, fused SGD, Adam or AdamW without hooks, no lr_scheduler, and a "
        "whole batch per process"
    )

    def __init__(self, training: Training, plan: Plan) -> None:
        super().__init__(training, plan)
        self._eager = EagerEngine(training, plan)
        self._graph: Any = None
        self._inputs: Inputs = []
        self._recorded: list[Any] = []

    @classmethod
    @override
    def supports(cls, problem: Problem) -> bool:
        """A graph holds no step that asks the GPU for a number."""
        update = problem.update.plain and problem.update.fused and not problem.update.scheduled
        return problem.device == "cuda" and problem.standard and update and not problem.divided

    @override
    @torch.no_grad()
    def run(self, steps: int, batches: BatchStream, *, with_loss: bool = True) -> Tensor | None:
        loss = None
        n_instances = len(self.training.networks.W_enc)
        length = min(_RECORDED, batches.length(n_instances))
        for some, *inputs in batches.read(steps, n_instances, length):
            last = with_loss and some.stop == steps
            # The last step, which gives the losses, is taken eagerly.
            done = self._replay(len(some) - last, length, inputs)
            if done < len(some):
                loss = self._eager.run(len(some) - done, cut(inputs, done, len(some)), with_loss=last)
        return loss

    def _replay(self, steps: int, length: int, inputs: Inputs) -> int:
        """Take as many of these steps as full graphs can, and tell how many."""
        done = 0
        if steps < length:
            return done
        if self._graph is None or self._recorded != self._constants(length):
            # The first step makes what later steps keep, and asks the GPU for numbers: it must not be in a graph.
            self._eager.run(1, cut(inputs, 0, 1), with_loss=False)
            done = 1
            self._graph = None  # frees its memory before the next one takes as much
            self._inputs = [None if draws is None else torch.empty_like(draws[:length]) for draws in inputs]
            self._graph = self.record(length, self._inputs)
            self._recorded = self._constants(length)
        while done + length <= steps:
            for kept, draws in zip(self._inputs, inputs, strict=True):
                if kept is not None and draws is not None:
                    kept.copy_(draws[done : done + length])
            self._graph.replay()
            done += length
        return done

    def record(self, length: int, inputs: Inputs) -> Any:
        """A graph of so many steps on inputs that lie in the given memory; its `replay` takes the steps."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._eager.run(length, cut(inputs, 0, length), with_loss=False)
        return graph

    def _constants(self, length: int) -> list[Any]:
        """All that a graph has taken in as a constant."""
        networks, optimizer = self.training.networks, self.training.optimizer
        state = [value for parameter in networks.parameters() for value in optimizer.state[parameter].values()]
        held = [*networks.parameters(), *(p.grad for p in networks.parameters()), *state]
        options = [value for name, value in optimizer.param_groups[0].items() if name != "params"]
        factors = [(id(factor), factor._version) for factor in (networks.l1, networks.importance)]
        return [length, [tensor.data_ptr() for tensor in held if tensor is not None], options, factors]


def cut(inputs: Inputs, start: int, stop: int) -> BatchStream:
    """A stream of some of the steps of inputs and noise."""
    return given_batches(*(None if draws is None else draws[start:stop] for draws in inputs))
