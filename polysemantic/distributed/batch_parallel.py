from __future__ import annotations

from typing_extensions import override

from polysemantic.distributed.lockstep import LockstepStrategy
from polysemantic.training.shard import Shard


class BatchParallel(LockstepStrategy):
    """Every process holds all instances and computes the gradient on its own rows of the batch.

    This is Lightning's `ddp` for gradients in closed form, averaged in one all-reduce per step. `batch_size` is the
    batch of one process: two processes with a batch of b take the steps of one process with 2b, on the same inputs and
    noise. Where each step shows every feature once, the processes divide the features.
    """

    @override
    def setup_environment(self) -> None:
        super().setup_environment()
        data = self.module.data
        data.divide(self.world_size)
        rows = Shard(data.batch_size, self.global_rank, self.world_size, self.root_device)
        if rows.ranks > rows.length:
            raise ValueError(
                f"`trainer.devices` must be at most one for each of {rows.length} inputs, got {rows.ranks}."
            )
        self.module.rows = rows
