"""Whether a run is drawn in TensorBoard, by which process, and in which directories."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

from polysemantic.callbacks.directory import run_directory


def logs_to_tensorboard(trainer: Trainer) -> bool:
    """Whether the run is drawn at all. All processes get the same answer."""
    return isinstance(trainer.logger, TensorBoardLogger)


def draws(trainer: Trainer) -> bool:
    """Whether this process draws: the first one does, if the run is drawn."""
    return logs_to_tensorboard(trainer) and trainer.is_global_zero


def run_writer(trainer: Trainer) -> SummaryWriter | None:
    """The writer for the run directory itself, on the process that draws; None elsewhere."""
    if isinstance(trainer.logger, TensorBoardLogger) and trainer.is_global_zero:
        writer: SummaryWriter = trainer.logger.experiment
        return writer
    return None


def curve_run(label: str, curve: str) -> str:
    """TensorBoard's name for a curve of a grid point, relative to the run directory.

    Args:
        label: The grid point's label, from `point_label`.
        curve: `mean`, `low`, `high`, `theory`, `bands` or `survival`.

    Example:
        >>> curve_run("l1=0.1", "mean"), curve_run("all", "mean")
        ('l1=0.1/mean', 'mean')
    """
    return curve if label == "all" else f"{label}/{curve}"


def curve_directory(trainer: Trainer, label: str, curve: str) -> Path:
    """The directory of `curve_run`."""
    return run_directory(trainer) / curve_run(label, curve)
