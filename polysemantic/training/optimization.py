"""How networks are optimised: instances must never influence one another."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from polysemantic.engine.fused_optimizer import is_kernel, is_plain, use_fused_kernel
from polysemantic.kernels.problem import Update
from polysemantic.model.weights import Weights
from polysemantic.training.checkpoint_schema import optimizer_settings, schedule_settings
from polysemantic.validation.checks import check_positive

# Optimisers of torch whose update of one weight depends on others, or that need what a training step does not give.
_COUPLING = ("Adafactor", "LBFGS", "Muon", "SparseAdam")


@dataclasses.dataclass(frozen=True)
class Optimization:
    """An optimiser, its schedule and clipping, before there are parameters.

    Args:
        make_optimizer: Makes the optimiser of a list of parameters.
        make_schedule: Makes the schedule of an optimiser; None without.
        clip_norm: Largest norm of one instance's gradient; None without.

    Raises:
        ValueError: If the optimiser or its schedule cannot be made, or `clip_norm` is not positive.
    """

    make_optimizer: OptimizerCallable
    make_schedule: LRSchedulerCallable | None
    clip_norm: float | None

    def __post_init__(self) -> None:
        check_positive(clip_norm=self.clip_norm)
        self.settings()

    def settings(self) -> dict[str, Any]:
        """The settings that a checkpoint must share to be continued."""
        return {
            "clip_norm": self.clip_norm,
            "optimizer": optimizer_settings(self.make_optimizer),
            "lr_scheduler": schedule_settings(self.make_schedule, self.make_optimizer),
        }

    def make(self, parameters: Any, max_steps: int) -> tuple[Optimizer, LRScheduler | None]:
        """The optimiser of some parameters, and its schedule, for a run of so many steps.

        Raises:
            ValueError: If the optimiser would couple the instances, or the schedule follows a loss or ends too early.
        """
        optimizer = use_fused_kernel(self.make_optimizer(parameters))
        if type(optimizer).__name__ in _COUPLING:
            rule = "treat its parameters elementwise, or it would couple the instances"
            raise ValueError(f"`optimizer` must {rule}, got {type(optimizer).__name__}.")
        if self.make_schedule is None:
            return optimizer, None
        schedule: Any = self.make_schedule(optimizer)
        if isinstance(schedule, ReduceLROnPlateau):
            rule = "follow the steps alone, as a loss of all would couple the instances"
            raise ValueError(f"`lr_scheduler` must {rule}, got {type(schedule).__name__}.")
        if isinstance(schedule, OneCycleLR) and schedule.total_steps < max_steps:
            rule = f"have total_steps for all {max_steps} steps of the run"
            raise ValueError(f"`lr_scheduler` must {rule}, got {schedule.total_steps}.")
        return optimizer, schedule

    def describe(self, optimizer: Optimizer | None = None, weights: Weights | None = None) -> Update:
        """What the update of a step consists of.

        Args:
            optimizer: The optimiser; None before there are parameters, and one with the same options is described.
            weights: Its parameters.
        """
        parameters: list[Tensor] = [torch.nn.Parameter(torch.zeros(1))]
        if optimizer is None:
            optimizer = use_fused_kernel(self.make_optimizer(parameters))
        elif weights is not None:
            parameters = weights.tensors
        return Update(
            plain=is_plain(optimizer, parameters),
            fused=is_kernel(optimizer),
            scheduled=self.make_schedule is not None,
            clipped=self.clip_norm is not None,
        )
