from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from polysemantic.engine.base import Plan, PlannedEngine, Training
from polysemantic.engine.batches import BatchStream
from polysemantic.engine.fused_optimizer import Update, next_update
from polysemantic.kernels.matmul import Matmul
from polysemantic.kernels.problem import Problem
from polysemantic.kernels.sparse import SparseInputMatmul, SparseInputs
from polysemantic.kernels.workspace import KeptWorkspace
from polysemantic.model.objective import ClosedForm

Gradient = Callable[..., Tensor | None]


class EagerEngine(PlannedEngine):
    """Optimiser steps one by one, for every network, optimiser and device.

    Args:
        training: What it trains.
        plan: The kernel for its products, and whether they skip zeros.
        workspace: Where memory is kept between steps; its own if None.
    """

    name: ClassVar[str] = "eager"

    def __init__(self, training: Training, plan: Plan, workspace: KeptWorkspace | None = None) -> None:
        super().__init__(training, plan)
        dense = plan.matmul()
        self._sparse = SparseInputMatmul(dense) if plan.sparse_inputs else None
        self.matmul: Matmul = self._sparse or dense
        self._workspace = workspace or KeptWorkspace()
        self._closed_form: ClosedForm | None = None
        self._begun = False

    @classmethod
    @override
    def supports(cls, problem: Problem) -> bool:
        return True

    @override
    @torch.no_grad()
    def run(self, steps: int, batches: BatchStream, *, with_loss: bool = True) -> Tensor | None:
        _, optimizer, schedule, clip_norm, average = self.training
        standard = self.training.networks.is_standard
        backward = self._gradient()
        # The first step of all begins the optimiser's state, and the schedule watches it.
        update: Update = next_update(optimizer) if standard and self._begun else optimizer.step
        loss = None
        for at, x, noise in self._each(steps, batches):
            loss = backward(x, noise, with_loss=with_loss and at == steps - 1)
            if average is not None:
                average(self._gradients + ([] if loss is None else [loss]))
            if clip_norm is not None:
                self._clip(clip_norm)
            update()
            if standard and not self._begun:
                update = next_update(optimizer)
            self._begun = True
            if schedule is not None:
                schedule.step()
        return loss

    def _gradient(self) -> Gradient:
        """What sets every parameter's gradient; of a standard network it looks up no tensor in a step."""
        networks = self.training.networks
        if not networks.is_standard:
            return networks.backward
        if self._closed_form is None:
            self._closed_form = ClosedForm(networks.act, matmul=self.matmul, workspace=self._workspace)
        closed_form = self._closed_form
        closed_form.factors = networks.factors
        weights, gradient = networks.weights.map(torch.Tensor.detach), networks.gradients()

        def backward(x: Tensor | None, noise: Tensor | None, *, with_loss: bool) -> Tensor | None:
            return closed_form(x, weights, gradient, noise, with_loss=with_loss)

        return backward

    def _each(self, steps: int, batches: BatchStream) -> Iterator[tuple[int, Tensor | None, Tensor | None]]:
        """Each step with its inputs and noise."""
        for some, x, noise in batches.read(steps, len(self.training.networks.W_enc)):
            nothing = [None] * len(some)
            yield from zip(
                some, nothing if x is None else self._inputs(x), nothing if noise is None else noise, strict=True
            )

    def _inputs(self, x: Tensor) -> Iterator[Tensor]:
        if self._sparse is None:
            yield from x
        else:
            # To find the places of several steps takes hardly longer than to find those of one.
            yield from map(self._sparse.use, SparseInputs.of_steps(x))

    @property
    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self.training.networks.parameters() if p.grad is not None]

    def _clip(self, largest: float) -> None:
        # A norm over the whole tensor would couple instances.
        gradients = self._gradients
        norm = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        factor = (largest / norm).clamp(max=1)
        for gradient in gradients:
            gradient *= factor.view(-1, *[1] * (gradient.ndim - 1))
