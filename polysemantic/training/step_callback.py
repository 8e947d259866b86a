from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from polysemantic.training.cadence import default_interval
from polysemantic.validation.checks import check_at_least_one

if TYPE_CHECKING:
    from polysemantic.training.module import EnsembleModule


class StepCallback(Callback, ABC):
    """A callback that acts at given optimiser steps: before the first one, every `every_n_steps`, and after the last.

    Training runs in chunks of many steps; a chunk ends early at a step that such a callback waits for, unless it acts
    `in_passing`. Where several processes train, each acts on the instances that it holds (`module.shard` puts values of
    all together), and all of them must wait for the same steps.

    Args:
        every_n_steps: Steps between two acts; None for those of `default_interval`.

    Raises:
        ValueError: If `every_n_steps` is below 1.
    """

    in_passing: ClassVar[bool] = False
    """Whether it acts within a chunk, which spares the return to the trainer; other callbacks are not called then."""

    def __init__(self, every_n_steps: int | None = None) -> None:
        check_at_least_one(every_n_steps=every_n_steps)
        self.every_n_steps = every_n_steps
        self.last_act = -1
        self._next_step = 0

    @abstractmethod
    def act(self, trainer: Trainer, module: EnsembleModule) -> None:
        """What there is to do at such a step."""

    def next_step(self, step: int) -> int:
        """The first optimiser step after `step` to act at."""
        every = self.every_n_steps or self._default_interval
        self._next_step = (step // every + 1) * every
        return self._next_step

    def act_if_due(self, trainer: Trainer, module: LightningModule) -> None:
        """Act, if this is the step that was waited for."""
        # The last act not only once training has ended: a checkpoint of the last step, continued, trains no more.
        if trainer.global_step >= min(self._next_step, trainer.max_steps):
            self._act_once(trainer, module)

    def _act_once(self, trainer: Trainer, module: LightningModule) -> None:
        if self.last_act != trainer.global_step:
            self.act(trainer, cast("EnsembleModule", module))
            self.last_act = trainer.global_step

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._default_interval = default_interval(trainer.max_steps)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 0 or trainer.global_step == self.next_step(trainer.global_step - 1):
            self._act_once(trainer, pl_module)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.act_if_due(trainer, pl_module)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._act_once(trainer, pl_module)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"last_act": self.last_act}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.last_act = state_dict["last_act"]
