from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from polysemantic.autoencoder import Autoencoder, Gradients
from polysemantic.part import Part
from polysemantic.updates import Update, is_hooked, next_updates, takes_zero_state

Draw = Callable[[slice], tuple[Tensor | None, Tensor | None]]
"""Gives inputs (step, instance, batch, feature), None for every feature once, and noise, or None, of some instances."""


def given(x: Tensor | None, noise: Tensor | None) -> Draw:
    """Draws that there are already, of all instances."""
    return lambda instances: (None if x is None else x[:, instances], None if noise is None else noise[:, instances])


class Steps(Protocol):
    """A way to take optimiser steps."""

    @property
    def unrolled(self) -> int:
        """How many steps it takes at a time."""

    def __call__(self, steps: int, draw: Draw, *, with_loss: bool = True) -> Float[Tensor, " instance"] | None:
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
        rows: Part | None = None,
    ) -> None:
        self.network, self.optimizer, self.schedule = network, optimizer, schedule
        self.clip_norm, self.rows = clip_norm, rows
        self._begun = False

    @torch.no_grad()
    def __call__(self, steps: int, draw: Draw, *, with_loss: bool = True) -> Tensor | None:
        """See `Steps`."""
        x, noise = draw(slice(None))
        standard = self.network.is_standard
        backward: Gradients = self.network.next_gradients() if standard else self.network.backward
        # The first step of all begins the optimiser's state and is seen by its schedule.
        update: Update = next_updates(self.optimizer) if standard and self._begun else self.optimizer.step
        loss = None
        for at in range(steps):
            loss = backward(
                None if x is None else x[at],
                None if noise is None else noise[at],
                with_loss=with_loss and at == steps - 1,
            )
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

    @property
    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self.network.parameters() if p.grad is not None]

    def _average(self, rows: Part, loss: Tensor | None) -> None:
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
