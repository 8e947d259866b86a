from __future__ import annotations

import contextlib
import sys
import warnings
from abc import ABC, abstractmethod
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


class Bar(ABC):
    """A progress bar that is drawn."""

    @abstractmethod
    def update(self, step: int, shown: str) -> None:
        """Show that so many steps are taken, and what the networks are like there."""

    @abstractmethod
    def close(self) -> None:
        """Draw no more; what was drawn stays."""


class _StepsPerSecond(ProgressColumn):
    @override
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.0f}/s")


class TerminalBar(Bar):
    """A bar of rich on a terminal.

    Args:
        console: The terminal.
        total: Steps of the run.
        done: Steps that are taken.
    """

    def __init__(self, console: Console, total: int, done: int) -> None:
        columns = (BarColumn(None), MofNCompleteColumn(), _StepsPerSecond(), TimeRemainingColumn())
        shown = TextColumn("{task.fields[shown]}")
        self._progress = Progress(*columns, shown, console=console, refresh_per_second=4)
        self._task = self._progress.add_task("fit", total=total, completed=done, shown="")
        self._progress.start()

    @override
    def update(self, step: int, shown: str) -> None:
        self._progress.update(self._task, completed=step, shown=shown)

    @override
    def close(self) -> None:
        self._progress.stop()


class NotebookBar(Bar):
    """A bar of tqdm in a notebook: a widget where ipywidgets is installed, else a line of text.

    rich would draw nothing in a notebook without ipywidgets.

    Args:
        total: Steps of the run.
        done: Steps that are taken.
    """

    def __init__(self, total: int, done: int) -> None:
        with warnings.catch_warnings():
            # tqdm asks for ipywidgets, without which a line of text does.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
        self._bar = tqdm(total=total, initial=done, unit="step", mininterval=0.25, dynamic_ncols=True)

    @override
    def update(self, step: int, shown: str) -> None:
        self._bar.set_postfix_str(shown, refresh=False)
        self._bar.update(step - self._bar.n)

    @override
    def close(self) -> None:
        self._bar.close()


def in_notebook() -> bool:
    """Whether a kernel of IPython runs this process, as that of Jupyter, VS Code or Colab does."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    with contextlib.suppress(TypeError):
        return "IPKernelApp" in getattr(shell, "config", ())
    return False


class StepProgress(ProgressBar):
    """A progress bar in optimiser steps, with the mean loss, number of polysemantic neurons and coverage.

    Nothing is drawn where the output is neither a terminal nor a notebook.

    Args:
        measurements: The callback that measures.
    """

    def __init__(self, measurements: Measurements) -> None:
        super().__init__()
        self.measurements = measurements
        self._enabled = True
        self._bar: Bar | None = None

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
        if not (self._enabled and trainer.is_global_zero):
            self._bar = None
        elif in_notebook():
            self._bar = NotebookBar(trainer.max_steps, trainer.global_step)
        elif console.is_terminal:
            self._bar = TerminalBar(console, trainer.max_steps, trainer.global_step)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None:
            self._bar.update(trainer.global_step, self._numbers(ensemble_module(pl_module)))

    def _numbers(self, module: EnsembleModule) -> str:
        latest = self.measurements.latest
        # A process knows the training loss of its own instances only.
        known = latest["loss"] if module.shard.ranks > 1 else module.loss
        loss = "" if known is None else f"loss {float(known.mean()):.4g}"
        means = {name: float(torch.nanmean(latest[name])) for name in ("polysemantic_neurons", "coverage")}
        return f"{loss} polysemantic {means['polysemantic_neurons']:.1f} coverage {means['coverage']:.2f}"

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()
