from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import nn
from typing_extensions import override

from polysemantic.training.module import EnsembleModule, ensemble_module
from polysemantic.training.signals import DeferredSignals


class LockstepStrategy(DDPStrategy):
    """Processes that return from training to Lightning at the same optimiser steps, and end at the same step.

    Unlike Lightning's DDP it wraps no model and synchronises no gradients by itself. Before each chunk of steps the
    processes agree on the chunk's length, which the slowest one decides, and on the signals that any of them received.

    Args:
        **options: Options of Lightning's `DDPStrategy`, such as `process_group_backend` and `timeout`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.deferred_signals: DeferredSignals | None = None

    @property
    def module(self) -> EnsembleModule:
        """The module that this strategy trains."""
        assert self.lightning_module is not None
        return ensemble_module(self.lightning_module)

    @override
    def setup(self, trainer: Trainer) -> None:
        Strategy.setup(self, trainer)

    @override
    def _setup_model(self, model: nn.Module) -> nn.Module:  # type: ignore[override]
        return model

    @override
    def barrier(self, name: str | None = None, *args: Any, **kwargs: Any) -> None:
        # Lightning's own signal handler waits at a barrier that only the processes with a signal reach. Lightning has
        # set its handlers when it comes to this barrier, so from here on signals are deferred.
        if name == "run-stage" and self.lightning_module is not None and self.module.trainer.state.fn == "fit":
            self.deferred_signals = DeferredSignals()
        super().barrier(name, *args, **kwargs)

    @override
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        module = self.module
        assert self.deferred_signals is not None
        # 0 stands for an unknown time and for no signal, so that the maximum over processes is what they agree on.
        known = not math.isnan(module.seconds_per_step)
        own = [module.seconds_per_step if known else 0.0, self.deferred_signals.take()]
        agreed = torch.tensor(own, dtype=torch.float64, device=self.root_device)
        dist.all_reduce(agreed, op=dist.ReduceOp.MAX)
        seconds, number = agreed.tolist()
        module.seconds_per_step = seconds or math.nan
        self.deferred_signals.handle(int(number))
