from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from typing_extensions import override

from polysemantic.callbacks.directory import run_directory
from polysemantic.storage.files import whole_file
from polysemantic.training.module import ensemble_module
from polysemantic.validation.checks import check_not_negative

# A checkpoint that took one second is worth at most one in this many.
_SHARE_OF_RUN = 40


class Checkpoint(Callback):
    """Writes `checkpoints/last.ckpt` and keeps the one before it as `previous.ckpt`.

    At a cadence in time, at the end, and when a run is interrupted, then at the last whole step.

    Args:
        every_n_seconds: Least time between two checkpoints; slow ones are written more seldom.

    Raises:
        ValueError: If `every_n_seconds` is negative.
    """

    def __init__(self, every_n_seconds: float = 60.0) -> None:
        check_not_negative(every_n_seconds=every_n_seconds)
        self.every_n_seconds = every_n_seconds
        self._wait = every_n_seconds
        self._training = False
        self._saved_step = -1
        self._saved_at = time.monotonic()
        self._last_is_whole = False

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint unless this step's is there."""
        if self._saved_step == trainer.global_step:
            return
        began = time.monotonic()
        last = _last(trainer)
        # What was passed over as damaged must not take the place of the one that this run goes on from.
        if trainer.is_global_zero and self._last_is_whole and last.exists():
            _keep(last, last.with_name("previous.ckpt"))
        trainer.save_checkpoint(last)
        self._last_is_whole = True
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
        self._wait = max(self.every_n_seconds, _SHARE_OF_RUN * (self._saved_at - began))

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._training = True
        self._saved_at = time.monotonic()
        self._saved_step = trainer.global_step
        path = trainer.ckpt_path
        self._last_is_whole = path is not None and Path(path).absolute() == _last(trainer).absolute()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        due = time.monotonic() - self._saved_at >= self._wait
        if trainer.strategy.broadcast(due) if trainer.world_size > 1 else due:
            self.save(trainer)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.save(trainer)
        self._training = False

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Several processes save together: after an error of one the others are no longer there to do so.
        together = trainer.world_size == 1 or isinstance(exception, (KeyboardInterrupt, SIGTERMException))
        # Before training there is nothing to save, and a checkpoint that was refused must stay what it is.
        if self._training and together and ensemble_module(pl_module).loop.between_steps:
            try:
                self.save(trainer)
            except OSError as error:
                # What ended the run, perhaps the same full disk, is what must be told.
                exception.add_note(f"no checkpoint of it could be written: {error}")


def _last(trainer: Trainer) -> Path:
    return run_directory(trainer) / "checkpoints" / "last.ckpt"


def _keep(source: Path, target: Path) -> None:
    """A second name for a file, or a copy, put into place at once, while the file keeps its own."""
    if target.exists() and target.samefile(source):
        return  # a run killed just after this; to rename one name of a file over another would leave both
    beside = target.with_name(f".{target.name}.part")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:
        # Not every filesystem knows second names: exFAT has none, nor have some network ones.
        with source.open("rb") as content, whole_file(target) as file:
            shutil.copyfileobj(content, file)
    else:
        beside.replace(target)
