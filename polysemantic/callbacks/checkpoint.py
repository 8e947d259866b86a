from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from typing_extensions import override

from polysemantic.callbacks.directory import run_directory
from polysemantic.storage.files import whole_file
from polysemantic.training.module import ensemble_module
from polysemantic.validation.arguments import checked_arguments
from polysemantic.validation.checks import check_not_negative

# After a checkpoint that took a second to write, the next one waits for at least this many seconds.
_WAIT_PER_SECOND = 40


class Checkpoint(Callback):
    """Writes `checkpoints/last.ckpt` and keeps the checkpoint before it as `previous.ckpt`.

    It writes at intervals of time, at the end of training, and when a run is interrupted, then of the last whole step.

    Args:
        every_n_seconds: Shortest time between two checkpoints. Where writing is slow it is at least 40 times as long as
            the last checkpoint took.

    Raises:
        ValueError: If `every_n_seconds` is negative.
    """

    @checked_arguments()
    def __init__(self, every_n_seconds: float = 60.0) -> None:
        check_not_negative(every_n_seconds=every_n_seconds)
        self.every_n_seconds = every_n_seconds
        # Not an argument, because arguments are options of the command line.
        self.clock: Callable[[], float] = time.monotonic
        self._wait = every_n_seconds
        self._training = False
        self._saved_step = -1
        self._saved_at = self.clock()
        self._last_is_whole = False

    def save(self, trainer: Trainer) -> None:
        """Write a checkpoint unless one of this step exists."""
        if self._saved_step == trainer.global_step:
            return
        began = self.clock()
        last = _last(trainer)
        # Where `last.ckpt` was damaged, the run continues from `previous.ckpt`, which must stay.
        if trainer.is_global_zero and self._last_is_whole and last.exists():
            link_or_copy(last, last.with_name("previous.ckpt"))
        trainer.save_checkpoint(last)
        self._last_is_whole = True
        self._saved_step, self._saved_at = trainer.global_step, self.clock()
        self._wait = max(self.every_n_seconds, _WAIT_PER_SECOND * (self._saved_at - began))

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._training = True
        self._saved_at = self.clock()
        self._saved_step = trainer.global_step
        path = trainer.ckpt_path
        self._last_is_whole = path is not None and Path(path).absolute() == _last(trainer).absolute()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        due = self.clock() - self._saved_at >= self._wait
        if trainer.strategy.broadcast(due) if trainer.world_size > 1 else due:
            self.save(trainer)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.save(trainer)
        self._training = False

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Several processes save together. An interrupt reaches all of them, but an error may have ended some already.
        together = trainer.world_size == 1 or isinstance(exception, (KeyboardInterrupt, SIGTERMException))
        # Before training there is nothing to save, and a checkpoint that was refused must not be overwritten.
        if self._training and together and ensemble_module(pl_module).loop.between_steps:
            try:
                self.save(trainer)
            except OSError as error:
                # The error that ended the run is the one to report; it may have the same cause, such as a full disk.
                exception.add_note(f"no checkpoint of it could be written: {error}")


def _last(trainer: Trainer) -> Path:
    return run_directory(trainer) / "checkpoints" / "last.ckpt"


def link_or_copy(source: Path, target: Path) -> None:
    """Replace a file by a hard link to another one in one atomic step, or by a copy where there are no hard links."""
    if target.exists() and target.samefile(source):
        # A run was killed right after an earlier call. `replace` does nothing where both names are of the same file,
        # and would leave the third name.
        return
    beside = target.with_name(f".{target.name}.part")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:
        # Some file systems have no hard links, such as exFAT and some network file systems.
        with source.open("rb") as content, whole_file(target) as file:
            shutil.copyfileobj(content, file)
    else:
        beside.replace(target)
