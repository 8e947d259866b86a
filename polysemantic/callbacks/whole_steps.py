from __future__ import annotations

import signal
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from polysemantic.interrupts import Held


class WholeSteps(Callback):
    """Holds Ctrl-C back until every callback is done with a step, so that what is saved then is of one step throughout.

    Comes first. Where several processes train, their strategy does the same for all of them together.
    """

    def __init__(self) -> None:
        self._held: Held | None = None

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size == 1:
            self._held = Held([signal.SIGINT])

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._held is not None and (number := self._held.take()):
            self._held.handle(number)

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._release()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            self._held.release()
        self._held = None
