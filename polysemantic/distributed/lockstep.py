from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import nn
from typing_extensions import override

from polysemantic.training.signals import Held


class LockstepStrategy(DDPStrategy):
    """Processes that return from training at the same steps, and end at the same step when one is told to.

    Nothing is wrapped and nothing synchronised behind the back: before each chunk of steps the processes agree on its
    length, by the slowest, and on the signals that any of them received.

    Args:
        **options: Those of Lightning's `DDPStrategy`, such as `process_group_backend` and `timeout`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.held: Held | None = None

    @override
    def setup(self, trainer: Trainer) -> None:
        Strategy.setup(self, trainer)

    @override
    def _setup_model(self, model: nn.Module) -> nn.Module:  # type: ignore[override]
        return model

    @override
    def barrier(self, name: str | None = None, *args: Any, **kwargs: Any) -> None:
        # From here on Lightning's own handler would have the processes meet inside of it, which they do not all enter.
        if (
            name == "run-stage"
            and self.lightning_module is not None
            and self.lightning_module.trainer.state.fn == "fit"
        ):
            self.held = Held()
        super().barrier(name, *args, **kwargs)

    @override
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        module: Any = self.lightning_module
        assert self.held is not None
        known = not math.isnan(module.seconds_per_step)
        said = [module.seconds_per_step if known else 0.0, self.held.take()]
        agreed = torch.tensor(said, dtype=torch.float64, device=self.root_device)
        dist.all_reduce(agreed, op=dist.ReduceOp.MAX)
        seconds, number = agreed.tolist()
        module.seconds_per_step = seconds or math.nan
        self.held.act_on(int(number))
