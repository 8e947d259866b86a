from __future__ import annotations

import signal
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from polysemantic.training.signals import DeferredSignals


class WholeSteps(Callback):
    """Defers signals until all callbacks have finished with a step, so that everything saved is of the same step.

    It must be the first callback. Where several processes train, their strategy defers the signals of all of them. A
    signal that comes too late to interrupt training ends the process once all files are written.
    """

    def __init__(self) -> None:
        self._signals: DeferredSignals | None = None
        self._strategy_handles = False

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        of_strategy: DeferredSignals | None = getattr(trainer.strategy, "deferred_signals", None)
        self._strategy_handles = of_strategy is not None
        self._signals = of_strategy or DeferredSignals()

    def _handle(self) -> None:
        if self._signals is not None and not self._strategy_handles:
            self._signals.handle(self._signals.take())

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._handle()

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._handle()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        signals, self._signals = self._signals, None
        if signals is not None and (number := signals.take()) in (signal.SIGTERM, signal.SIGINT):
            signals.handle(number)
