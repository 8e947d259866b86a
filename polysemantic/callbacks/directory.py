from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer


def run_directory(trainer: Trainer) -> Path:
    """Where a run's files lie; unlike `trainer.log_dir` it can be asked for by one process alone."""
    logger = trainer.logger
    assert logger is not None
    directory = logger.log_dir or logger.save_dir
    assert directory is not None
    return Path(directory)
