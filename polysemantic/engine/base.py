"""What an engine is: a way to take optimiser steps.

Three ways to train, each a composition of the same parts:

- eager: the closed-form gradient, then the optimiser's kernel, one step after the other in Python;
- threaded: several eager engines, each with a few instances, one to a thread;
- cuda_graph: one eager engine whose steps a GPU has recorded and replays.

The fourth, compiled, has torch's compiler unroll the same gradient and update into one graph.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from polysemantic.engine.batches import BatchStream
from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.problem import Problem
from polysemantic.model.autoencoder import Autoencoder


class Training(NamedTuple):
    """What an engine trains.

    Args:
        networks: The networks.
        optimizer: Their optimiser.
        schedule: Steps after each optimiser step.
        clip_norm: Largest norm of one instance's gradient.
        average: Turns gradients and losses of this process's rows into those of the whole batch, in place, where
            processes divide the batch of each step.
    """

    networks: Autoencoder
    optimizer: Optimizer
    schedule: LRScheduler | None = None
    clip_norm: float | None = None
    average: Callable[[list[Tensor]], None] | None = None


@runtime_checkable
class StepEngine(Protocol):
    """A way to take optimiser steps."""

    @classmethod
    def supports(cls, problem: Problem) -> bool:
        """Whether it can take a problem's steps."""

    def run(self, steps: int, batches: BatchStream, *, with_loss: bool = True) -> Float[Tensor, " instance"] | None:
        """Take so many steps on the first batches of a stream.

        Gives the losses of the last step; None may come where they are not asked for.
        """


class PlannedEngine(ABC):
    """A `StepEngine` that `select` may choose.

    Args:
        training: What it trains.
        plan: The kernel for its products, and the like.
    """

    name: ClassVar[str]
    """What users call it in `model.engine`."""
    needs: ClassVar[str] = "nothing"
    """What a problem must be for it, in words."""
    uses_kernels: ClassVar[bool] = True
    """Whether its products go through the plan's kernel, and may skip the zeros of inputs."""
    keeps_gradients: ClassVar[bool] = True
    """Whether gradients and activations of all instances are in memory at once."""

    def __init__(self, training: Training, plan: Plan) -> None:
        self.training, self.plan = training, plan

    @classmethod
    @abstractmethod
    def supports(cls, problem: Problem) -> bool:
        """Whether it can take a problem's steps."""

    @classmethod
    def pays(cls, problem: Problem, matmul: type[TorchMatmul]) -> bool:  # noqa: ARG003 - for those that it depends on
        """Whether it is quicker than the engines after it, with the quickest kernel for the problem."""
        return True

    @classmethod
    def can_be_built(cls) -> bool:
        """Whether this machine has what it is made with; says so in a warning if it has not."""
        return True

    @abstractmethod
    def run(self, steps: int, batches: BatchStream, *, with_loss: bool = True) -> Float[Tensor, " instance"] | None:
        """See `StepEngine`."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a run's steps are taken.

    Args:
        engine: What takes the steps.
        matmul: What computes their products.
        sparse_inputs: Whether products with the inputs skip the zeros.
        block: Instances that a thread trains together, where there are threads.
    """

    engine: type[PlannedEngine]
    matmul: type[TorchMatmul] = TorchMatmul
    sparse_inputs: bool = False
    block: int = 1

    def __str__(self) -> str:
        inputs = "sparse inputs" if self.sparse_inputs else "dense inputs"
        return f"engine {self.engine.name}, kernel {self.matmul.name}, {inputs}, blocks of {self.block}"

    def make(self, training: Training) -> PlannedEngine:
        """The engine, ready to train."""
        return self.engine(training, self)
