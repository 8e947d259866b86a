"""Optimiser steps in chunks, between two returns to the trainer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from polysemantic.engine.base import StepEngine
from polysemantic.engine.batches import BatchStream
from polysemantic.training.cadence import chunk_length, rounded_chunk
from polysemantic.training.signals import defer_interrupts
from polysemantic.training.step_callback import StepCallback

# Seconds between returns to Lightning: often enough for a progress bar, too seldom to cost anything. Several processes
# wait for the slowest each time, and cores of a shared machine are slow in turns, each for a second or so.
CHUNK_SECONDS, _CHUNK_SECONDS_TOGETHER = 0.5, 3.0
_CHUNKS_BETWEEN_LOSSES = 4


class StepLoop:
    """Takes a run's optimiser steps, a chunk at a time.

    Args:
        inner_steps: Steps of a chunk; None lets the clock decide.
    """

    def __init__(self, inner_steps: int | None = None) -> None:
        self.inner_steps = inner_steps
        self.seconds_per_step = math.nan
        self.loss: Float[Tensor, " instance"] | None = None
        self.between_steps = True
        """Whether weights and the count of steps agree; a checkpoint must be written only then."""
        self._chunks = 0

    def begin(
        self, engine: StepEngine, stream: Callable[[int], BatchStream], *, small_steps: bool, together: bool
    ) -> None:
        """Take steps from now on.

        Args:
            engine: What takes them.
            stream: Gives the batches from an optimiser step on.
            small_steps: Whether a step is bound by the cost of calls.
            together: Whether several processes train, and return to their trainers together.
        """
        self.engine, self.stream = engine, stream
        self._rounds = small_steps and self.inner_steps is None
        self._seconds = _CHUNK_SECONDS_TOGETHER if together else CHUNK_SECONDS

    def end(self) -> None:
        """Let go of the engine, whose threads and graphs cannot be copied."""
        for name in ("engine", "stream"):
            self.__dict__.pop(name, None)

    def run_chunk(self, trainer: Trainer, module: LightningModule) -> None:
        """Take the steps up to the next return to the trainer."""
        start, began = trainer.global_step, time.perf_counter()
        with defer_interrupts():
            self._run_chunk(trainer, module, start)
            if module.device.type != "cpu":
                torch.accelerator.synchronize()  # or the clock would show how long it takes to ask for the steps
        self.seconds_per_step = (time.perf_counter() - began) / (trainer.global_step - start)

    def _run_chunk(self, trainer: Trainer, module: LightningModule, step: int) -> None:
        """Callbacks in passing act between the steps."""
        listed: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks = [callback for callback in listed if isinstance(callback, StepCallback)]
        passing = [callback for callback in callbacks if callback.in_passing]
        waits = [callback.next_step(step) for callback in callbacks if not callback.in_passing]
        enough, stop = step + self._length(), min([trainer.max_steps, *waits])
        # For the progress bar. The loss of a large network, whose chunks are single steps, is a tenth of each.
        self._chunks += 1
        shown = self.loss is None or self._chunks % _CHUNKS_BETWEEN_LOSSES == 0
        while True:
            end = step + (rounded_chunk(enough - step) if self._rounds else enough - step)
            awaited = min([stop, *(callback.next_step(step) for callback in passing)])
            step = self.train_steps(trainer, step, min(end, awaited), with_loss=shown or end >= awaited)
            if step >= min(enough, stop):
                break  # here they act with all other callbacks
            for callback in passing:
                callback.act_if_due(trainer, module)
            if trainer.should_stop:
                break

    def _length(self) -> int:
        if self.inner_steps is not None:
            return self.inner_steps
        return chunk_length(self._seconds, self.seconds_per_step)

    def train_steps(self, trainer: Trainer, start: int, stop: int, *, with_loss: bool) -> int:
        """Take the optimiser steps from one to another, which is returned, and note the losses of the last if asked."""
        self.between_steps = False
        loss = self.engine.run(stop - start, self.stream(start), with_loss=with_loss)
        self.loss = self.loss if loss is None else loss
        _count_steps(trainer, stop - start)
        self.between_steps = True
        return stop


def _count_steps(trainer: Trainer, steps: int) -> None:
    """Tell Lightning of optimiser steps that it did not see; it counts the steps of its own wrapper alone."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    for counter in (progress.total, progress.current):
        counter.ready += steps
        counter.completed += steps
