"""Optimiser steps on a GPU, recorded once and replayed: to launch them one by one takes longer than most of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from polysemantic.engine.eager import Draws, EagerSteps, given, replaceable
from polysemantic.engine.fused_optimizer import is_kernel
from polysemantic.model.autoencoder import Autoencoder

# Steps in a graph: enough to drown the cost of its launch, few enough to be recorded in milliseconds.
_RECORDED = 32


class GraphedSteps:
    """Optimiser steps in CUDA graphs, of the very kernels that they consist of one by one.

    Args:
        network: The networks, with their standard objective.
        optimizer: Their fused SGD, Adam or AdamW.
        clip_norm: Largest norm of one instance's gradient.
    """

    unrolled = 1

    def __init__(self, network: Autoencoder, optimizer: Optimizer, clip_norm: float | None = None) -> None:
        self.network, self.optimizer = network, optimizer
        self._one_by_one = EagerSteps(network, optimizer, clip_norm=clip_norm)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Tensor | None] = []
        self._recorded: list[Any] = []

    @staticmethod
    def takes(network: Autoencoder, optimizer: Optimizer) -> bool:
        """Whether the networks are on a GPU, and nothing in their steps asks it for a number."""
        asks_nothing = is_kernel(optimizer) and not network.sparse_inputs
        return network.W_enc.is_cuda and asks_nothing and replaceable(network, optimizer)

    @torch.no_grad()
    def __call__(self, steps: int, draws: Draws, *, with_loss: bool = True) -> Tensor | None:
        """See `Steps`."""
        loss = None
        n_instances = len(self.network.W_enc)
        length = min(_RECORDED, draws.length(n_instances))
        for some, *inputs in draws.in_turn(steps, n_instances, length):
            last = with_loss and some.stop == steps
            # The last step gives the losses, one by one.
            done = self._replay(len(some) - last, length, inputs)
            if done < len(some):
                loss = self._one_by_one(len(some) - done, _part(inputs, done, len(some)), with_loss=last)
        return loss

    def _replay(self, steps: int, length: int, inputs: list[Tensor | None]) -> int:
        """Take as many of these steps as graphs of that length can, and tell how many."""
        done = 0
        if steps < length:
            return done
        if self._graph is None or self._recorded != self._constants(length):
            # What a step makes once and keeps, and asks the GPU for, it must not do in a graph.
            self._one_by_one(1, _part(inputs, 0, 1), with_loss=False)
            done = 1
            self._record(length, inputs)
        assert self._graph is not None
        while done + length <= steps:
            for kept, block in zip(self._inputs, inputs, strict=True):
                if kept is not None and block is not None:
                    kept.copy_(block[done : done + length])
            self._graph.replay()
            done += length
        return done

    def _record(self, length: int, inputs: list[Tensor | None]) -> None:
        self._graph = None  # its memory first
        self._inputs = [None if block is None else torch.empty_like(block[:length]) for block in inputs]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._one_by_one(length, _part(self._inputs, 0, length), with_loss=False)
        self._graph, self._recorded = graph, self._constants(length)

    def _constants(self, length: int) -> list[Any]:
        """All that a graph has taken in as a constant."""
        state = [value for parameter in self.network.parameters() for value in self.optimizer.state[parameter].values()]
        held = [*self.network.parameters(), *(p.grad for p in self.network.parameters()), *state]
        options = [value for name, value in self.optimizer.param_groups[0].items() if name != "params"]
        factors = [(id(factor), factor._version) for factor in (self.network.l1, self.network.importance)]
        return [length, [tensor.data_ptr() for tensor in held if tensor is not None], options, factors]


def _part(inputs: list[Tensor | None], start: int, stop: int) -> Draws:
    return given(*(None if block is None else block[start:stop] for block in inputs))
