from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from polysemantic.autoencoder import Autoencoder


class Steps(Protocol):
    """A way to take optimiser steps."""

    @property
    def unrolled(self) -> int:
        """How many steps it takes at a time."""

    def __call__(
        self,
        steps: int,
        x: Float[Tensor, "step instance batch feature"] | None,
        noise: Float[Tensor, "step instance batch hidden"] | None,
    ) -> Float[Tensor, " instance"]:
        """Take `steps` steps on given inputs (None: every feature once) and noise, and give the last one's losses."""


class EagerSteps:
    """Optimiser steps one by one.

    Args:
        network: The networks.
        optimizer: Their optimiser.
        schedule: Steps after each optimiser step.
        clip_norm: Largest norm of one instance's gradient.
    """

    unrolled = 1

    def __init__(
        self,
        network: Autoencoder,
        optimizer: Optimizer,
        schedule: LRScheduler | ReduceLROnPlateau | None = None,
        clip_norm: float | None = None,
    ) -> None:
        self.network, self.optimizer, self.schedule, self.clip_norm = network, optimizer, schedule, clip_norm

    def __call__(self, steps: int, x: Tensor | None, noise: Tensor | None) -> Tensor:
        """See `Steps`."""
        for at in range(steps):
            loss = self.network.backward(
                None if x is None else x[at], None if noise is None else noise[at], with_loss=at == steps - 1
            )
            if self.clip_norm is not None:
                self._clip(self.clip_norm)
            self.optimizer.step()
            if self.schedule is not None:
                self.schedule.step()
        assert loss is not None
        return loss

    @torch.no_grad()
    def _clip(self, largest: float) -> None:
        # Over the whole tensor the norm would couple instances.
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        norm = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        factor = (largest / norm).clamp(max=1)
        for gradient in gradients:
            gradient *= factor.view(-1, *[1] * (gradient.ndim - 1))


def fused(optimizer: Optimizer) -> Optimizer:
    """The optimiser in one pass over memory instead of a dozen, unless the user chose an implementation."""
    if type(optimizer) in (Adam, AdamW, SGD):
        for group in optimizer.param_groups:
            if group.get("fused") is None and group.get("foreach") is None:
                group["fused"] = True
    return optimizer
