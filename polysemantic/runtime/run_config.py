from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from polysemantic.callbacks.directory import run_directory
from polysemantic.runtime.logger import RunLogger
from polysemantic.storage.files import write_whole

# Packages whose version decides the numbers of a run.
_DECISIVE = ("polysemantic", "torch", "lightning", "numpy")


class ConfigFile(Callback):
    """Writes `config.yaml`, resolved, and `versions.yaml` into the run directory when a run begins.

    Args:
        text: The configuration as YAML.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._begun = False

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if isinstance(trainer.logger, RunLogger):
            trainer.logger.agree(trainer.strategy)

    def _write(self, trainer: Trainer) -> None:
        self._begun = True
        if isinstance(trainer.logger, RunLogger):
            trainer.logger.use()
        if trainer.is_global_zero:
            write_whole(self._path(trainer), self.text.encode())
            write_whole(self._path(trainer).with_name("versions.yaml"), yaml.safe_dump(_versions()).encode())

    def _path(self, trainer: Trainer) -> Path:
        return run_directory(trainer) / "config.yaml"

    def _write_again(self, trainer: Trainer) -> None:
        """Make the directory again if somebody removed it, rather than lose what was trained."""
        if trainer.is_global_zero and not self._path(trainer).is_file():
            sys.stderr.write(
                f"{run_directory(trainer)} was removed and is made again; its earlier snapshots are lost.\n"
            )
            self._write(trainer)

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(trainer.logger, RunLogger):
            trainer.logger.occupy(trainer.strategy)

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._write_again(trainer)

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._begun:
            self._write_again(trainer)
        elif trainer.ckpt_path is None:
            # Lightning skips the training without an error, and nothing was measured.
            raise ValueError("`trainer.max_time` must let a run take a step, got none.")

    # Not in `on_fit_start`: a checkpoint that does not fit must leave the configuration of its run as it is.
    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer)

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer)


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _DECISIVE}
