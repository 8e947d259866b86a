from __future__ import annotations

from typing import Any

from typing_extensions import override

from polysemantic.distributed.lockstep import LockstepStrategy
from polysemantic.training.shard import Shard


class BatchParallel(LockstepStrategy):
    """Every process holds all instances and computes the gradient on its rows of the batch: `ddp` for closed forms.

    Gradients are averaged in one all-reduce a step. `batch_size` is that of one process, so that two processes with a
    batch of b take the steps of one with 2b, on the same inputs and noise. Where every feature is shown once in each
    step, the features are divided among the processes.
    """

    @override
    def setup_environment(self) -> None:
        super().setup_environment()
        module: Any = self.lightning_module
        module.data.divide(self.world_size)
        rows = Shard(module.data.batch_size, self.global_rank, self.world_size, self.root_device)
        if rows.ranks > rows.length:
            raise ValueError(
                f"`trainer.devices` must be at most one for each of {rows.length} inputs, got {rows.ranks}."
            )
        module.rows = rows
