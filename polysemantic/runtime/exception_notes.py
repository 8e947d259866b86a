from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from polysemantic.callbacks.directory import run_directory
from polysemantic.runtime.faults import is_out_of_memory
from polysemantic.runtime.free_memory import free_bytes
from polysemantic.runtime.memory import bytes_in_run
from polysemantic.training.module import ensemble_module


class ExceptionNotes(Callback):
    """Adds notes to the exception that ends a run: which run at which step, and how much memory was free.

    The command line knows errors of a run that has begun from errors of input by the note.
    """

    def __init__(self) -> None:
        self._begun = False

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begun = True

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begun = True

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        module = ensemble_module(pl_module)
        if is_out_of_memory(exception):
            device = trainer.strategy.root_device
            each = bytes_in_run(trainer, module, module.data.batch_size)
            free = free_bytes(device) / 1e9
            exception.add_note(
                f"each instance takes {each / 1e6:.3g} MB or more, and {free:.3g} GB are free on {device}"
            )
        if self._begun:
            exception.add_note(f"in run {run_directory(trainer)}, at step {trainer.global_step}")
