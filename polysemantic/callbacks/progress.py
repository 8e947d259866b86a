from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from typing_extensions import override

from polysemantic.callbacks.measurements import Measurements
from polysemantic.training.module import EnsembleModule, ensemble_module


class _StepsPerSecond(ProgressColumn):
    @override
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.0f}/s")


class StepProgress(ProgressBar):
    """A progress bar in optimiser steps, with the mean loss, number of polysemantic neurons and coverage.

    Nothing is drawn where the output is not a terminal.

    Args:
        measurements: The callback that measures.
    """

    def __init__(self, measurements: Measurements) -> None:
        super().__init__()
        self.measurements = measurements
        self._enabled = True
        self._progress: Progress | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether Lightning prints through this bar."""
        return self._enabled

    @override
    def disable(self) -> None:
        self._enabled = False

    @override
    def enable(self) -> None:
        self._enabled = True

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        console = Console()
        columns = (BarColumn(None), MofNCompleteColumn(), _StepsPerSecond(), TimeRemainingColumn())
        shown = TextColumn("{task.fields[shown]}")
        off = not (self._enabled and console.is_terminal and trainer.is_global_zero)
        self._progress = Progress(*columns, shown, console=console, disable=off, refresh_per_second=4)
        self._task = self._progress.add_task("fit", total=trainer.max_steps, completed=trainer.global_step, shown="")
        self._progress.start()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._progress is not None and not self._progress.disable:
            shown = self._numbers(ensemble_module(pl_module))
            self._progress.update(self._task, completed=trainer.global_step, shown=shown)

    def _numbers(self, module: EnsembleModule) -> str:
        latest = self.measurements.latest
        # A process knows the training loss of its own instances only.
        known = latest["loss"] if module.shard.ranks > 1 else module.loss
        loss = "" if known is None else f"loss {float(known.mean()):.4g}"
        means = {name: float(torch.nanmean(latest[name])) for name in ("polysemantic_neurons", "coverage")}
        return f"{loss} polysemantic {means['polysemantic_neurons']:.1f} coverage {means['coverage']:.2f}"

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()
