from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer
from torch.utils.tensorboard import SummaryWriter


def run_directory(trainer: Trainer) -> Path:
    """Where a run's files lie; unlike `trainer.log_dir` it can be asked for by one process alone."""
    logger = trainer.logger
    assert logger is not None
    directory = logger.log_dir or logger.save_dir
    assert directory is not None
    return Path(directory)


def end_writer(run: Path, kind: str) -> SummaryWriter:
    """A writer of what TensorBoard shows of the end of a run.

    A run that was interrupted at its end, or is continued beyond it, has its end anew and not twice.

    Args:
        run: Directory of the curves that it goes with.
        kind: What tells it from other ends there.
    """
    suffix = f".{kind}"
    for path in run.glob(f"events.*{suffix}"):
        path.unlink()
    return SummaryWriter(str(run), filename_suffix=suffix)
