from __future__ import annotations

import signal
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from polysemantic.training.signals import Held


class WholeSteps(Callback):
    """Holds signals back until every callback is done with a step, so that all that is saved then is of one step.

    Comes first. Where several processes train, their strategy does the same for all of them together. A signal that
    comes too late to interrupt training ends the process once everything is written.
    """

    def __init__(self) -> None:
        self._held: Held | None = None
        self._together = False

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        of_strategy = getattr(trainer.strategy, "held", None)
        self._together = of_strategy is not None
        self._held = of_strategy or Held()

    def _act(self) -> None:
        if self._held is not None and not self._together:
            self._held.act_on(self._held.take())

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._act()

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._act()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        held, self._held = self._held, None
        if held is not None and (number := held.take()) in (signal.SIGTERM, signal.SIGINT):
            held.act_on(number)
