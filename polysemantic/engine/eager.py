from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from polysemantic.engine.fused_optimizer import Update, is_hooked, next_updates, takes_zero_state
from polysemantic.functional import numbers_at_once
from polysemantic.model.autoencoder import Autoencoder, Gradients
from polysemantic.model.objective import Inputs
from polysemantic.training.shard import Shard

# Numbers drawn at a time: enough to drown the cost of a call, few enough for a CPU's cache.
_DRAWN_AT_ONCE = 2**19
_CPU = torch.device("cpu")


@dataclasses.dataclass(frozen=True)
class Draws:
    """What is drawn for steps.

    Args:
        make: Gives inputs (step, instance, batch, feature), None for every feature once, and noise, or None, of some
            steps, counted from the first that is to be taken, and some instances.
        numbers: How many are drawn for a step of one instance; 0 if they are there already.
        device: Where they are drawn.
        instances: Those whose draws are asked for.
    """

    make: Callable[[range, slice], tuple[Tensor | None, Tensor | None]]
    numbers: int = 0
    device: torch.device = _CPU
    instances: slice = dataclasses.field(default_factory=lambda: slice(None))

    def of(self, instances: slice) -> Draws:
        """The same draws of some instances."""
        return dataclasses.replace(self, instances=instances)

    def length(self, n_instances: int, unrolled: int = 1) -> int:
        """Steps of a block, of which there may be any number if nothing is drawn for them."""
        if not self.numbers:
            return sys.maxsize
        at_once = numbers_at_once(self.device, _DRAWN_AT_ONCE)
        return max(1, at_once // (self.numbers * n_instances) // unrolled) * unrolled

    def in_turn(
        self, steps: int, n_instances: int, unrolled: int = 1
    ) -> Iterator[tuple[range, Tensor | None, Tensor | None]]:
        """Inputs and noise of a few steps after the other, as many as fill a block, but for the last ones."""
        length = self.length(n_instances, unrolled)
        for start in range(0, steps, length):
            some = range(start, min(start + length, steps))
            yield some, *self.make(some, self.instances)


def given(x: Tensor | None, noise: Tensor | None) -> Draws:
    """Draws that there are already, of all instances."""
    return Draws(
        lambda steps, instances: (
            None if x is None else x[steps.start : steps.stop, instances],
            None if noise is None else noise[steps.start : steps.stop, instances],
        )
    )


@runtime_checkable
class Steps(Protocol):
    """A way to take optimiser steps."""

    @property
    def unrolled(self) -> int:
        """How many steps it takes at a time."""

    def __call__(self, steps: int, draws: Draws, *, with_loss: bool = True) -> Float[Tensor, " instance"] | None:
        """Take so many steps on what is drawn for them.

        Gives the last one's losses; None may come where they are not asked for.
        """


class EagerSteps:
    """Optimiser steps one by one.

    Args:
        network: The networks.
        optimizer: Their optimiser.
        schedule: Steps after each optimiser step.
        clip_norm: Largest norm of one instance's gradient.
        rows: The rows of the batch that this process computes; None if it computes all.
    """

    unrolled = 1

    def __init__(
        self,
        network: Autoencoder,
        optimizer: Optimizer,
        schedule: LRScheduler | None = None,
        clip_norm: float | None = None,
        rows: Shard | None = None,
    ) -> None:
        self.network, self.optimizer, self.schedule = network, optimizer, schedule
        self.clip_norm, self.rows = clip_norm, rows
        self._begun = False

    @torch.no_grad()
    def __call__(self, steps: int, draws: Draws, *, with_loss: bool = True) -> Tensor | None:
        """See `Steps`."""
        standard = self.network.is_standard
        backward: Gradients = self.network.next_gradients() if standard else self.network.backward
        # The first step of all begins the optimiser's state and is seen by its schedule.
        update: Update = next_updates(self.optimizer) if standard and self._begun else self.optimizer.step
        loss = None
        for at, x, noise in self._one_by_one(steps, draws):
            loss = backward(x, noise, with_loss=with_loss and at == steps - 1)
            if self.rows is not None:
                self._average(self.rows, loss)
            if self.clip_norm is not None:
                self._clip(self.clip_norm)
            update()
            if standard and not self._begun:
                update = next_updates(self.optimizer)
            self._begun = True
            if self.schedule is not None:
                self.schedule.step()
        return loss

    def _one_by_one(self, steps: int, draws: Draws) -> Iterator[tuple[int, Inputs, Tensor | None]]:
        """Each step with its inputs and noise."""
        for some, x, noise in draws.in_turn(steps, len(self.network.W_enc)):
            nothing = [None] * len(some)
            inputs = nothing if x is None else self.network.inputs(x)
            yield from zip(some, inputs, nothing if noise is None else noise, strict=True)

    @property
    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self.network.parameters() if p.grad is not None]

    def _average(self, rows: Shard, loss: Tensor | None) -> None:
        """Make gradients and losses those of the whole batch, of which each is a mean."""
        tensors = self._gradients + ([] if loss is None else [loss])
        for tensor in tensors:
            tensor *= rows.size / rows.length
        rows.sum(tensors)

    def _clip(self, largest: float) -> None:
        # Over the whole tensor the norm would couple instances.
        gradients = self._gradients
        norm = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        factor = (largest / norm).clamp(max=1)
        for gradient in gradients:
            gradient *= factor.view(-1, *[1] * (gradient.ndim - 1))


def replaceable(network: Autoencoder, optimizer: Optimizer) -> bool:
    """Whether steps of these networks may be taken without `optimizer.step`, from its first one on."""
    weights = [weight for weight in vars(network.weights).values() if weight is not None]
    held = [id(parameter) for parameter in optimizer.param_groups[0]["params"]]
    trains_all = held == [id(weight) for weight in weights] and all(weight.requires_grad for weight in weights)
    return network.is_standard and trains_all and takes_zero_state(optimizer) and not is_hooked(optimizer)


def fused(optimizer: Optimizer) -> Optimizer:
    """The optimiser in one pass over memory instead of a dozen, unless the user chose an implementation."""
    if type(optimizer) in (Adam, AdamW, SGD):
        for group in optimizer.param_groups:
            if group.get("fused") is None and group.get("foreach") is None:
                group["fused"] = True
    return optimizer


def count_steps(trainer: Any, steps: int) -> None:
    """Tell Lightning of optimiser steps that it did not see; it counts the steps of its own wrapper alone."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    for counter in (progress.total, progress.current):
        counter.ready += steps
        counter.completed += steps
