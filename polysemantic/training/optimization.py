"""What optimisers and their schedules must be: instances never influence one another."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

# Optimisers of torch whose update of one weight depends on others, or that need what a training step does not give.
_COUPLING = ("Adafactor", "LBFGS", "Muon", "SparseAdam")


def check_optimizer(optimizer: Optimizer) -> None:
    """Refuse an optimiser that would couple the instances.

    Raises:
        ValueError: If it is one.
    """
    if type(optimizer).__name__ in _COUPLING:
        rule = "treat its parameters elementwise, or it would couple the instances"
        raise ValueError(f"`optimizer` must {rule}, got {type(optimizer).__name__}.")


def check_schedule(schedule: LRScheduler, max_steps: int) -> None:
    """Refuse a schedule that follows a loss, or that ends before the run.

    Raises:
        ValueError: If it does.
    """
    if isinstance(schedule, ReduceLROnPlateau):
        rule = "follow the steps alone, as a loss of all would couple the instances"
        raise ValueError(f"`lr_scheduler` must {rule}, got {type(schedule).__name__}.")
    if isinstance(schedule, OneCycleLR) and schedule.total_steps < max_steps:
        rule = f"have total_steps for all {max_steps} steps of the run"
        raise ValueError(f"`lr_scheduler` must {rule}, got {schedule.total_steps}.")
