from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer


def run_directory(trainer: Trainer) -> Path:
    """The directory of a run's files. Unlike `trainer.log_dir`, which waits for all processes, one process can ask."""
    logger = trainer.logger
    assert logger is not None
    directory = logger.log_dir or logger.save_dir
    assert directory is not None
    return Path(directory)
