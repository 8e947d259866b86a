from __future__ import annotations

from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from polysemantic.callbacks.directory import run_directory
from polysemantic.storage.files import whole_file
from polysemantic.training.module import EnsembleModule, ensemble_module
from polysemantic.training.shard import Shard
from polysemantic.training.step_callback import StepCallback
from polysemantic.validation.arguments import checked_arguments

_SNAPSHOTS = 24


class Snapshots(StepCallback):
    """Writes weights at log-spaced steps to `weights/step_000000000.npz`, readable with numpy alone.

    Each file holds `W_enc`, `W_dec` if untied, `b_dec` if there is one, `instance` (the indices of the kept instances
    in the run) and `step`. There are at most 24 files; the first and the last step are always among them.

    Args:
        instances: Indices of the instances to keep; None for the first seed of each grid point.

    Raises:
        ValueError: If an instance is negative.
    """

    @checked_arguments()
    def __init__(self, instances: list[int] | None = None) -> None:
        super().__init__()
        if instances is not None and min(instances, default=0) < 0:
            raise ValueError(f"`instances` must be at least 0, got {instances}.")
        self.instances = instances
        self._steps: list[int] = []
        self.kept: list[int] = []
        self.latest: dict[str, NDArray[Any]] = {}

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        last = max(trainer.max_steps, 1)
        self._steps = [0, *np.unique(np.geomspace(1, last, _SNAPSHOTS - 1).round().astype(int)).tolist()]
        ensemble = ensemble_module(pl_module).ensemble
        kept = range(0, ensemble.n_instances, ensemble.seeds) if self.instances is None else self.instances
        if max(kept, default=0) >= ensemble.n_instances:
            raise ValueError(f"`instances` must lie below {ensemble.n_instances}, got {max(kept)}.")
        self.kept = list(kept)

    @override
    def next_step(self, step: int) -> int:
        self._next_step = next((at for at in self._steps if at > step), self._steps[-1])
        return max(self._next_step, step + 1)

    @override
    def act(self, trainer: Trainer, module: EnsembleModule) -> None:
        weights = module.networks.weights
        arrays = {"W_enc": weights.W_enc, "W_dec": weights.W_dec, "b_dec": weights.b_dec}
        self.latest = {name: self.collect(module.shard, w.detach()) for name, w in arrays.items() if w is not None}
        if not trainer.is_global_zero:
            return
        origin = {"instance": np.array(self.kept), "step": np.array(trainer.global_step)}
        with whole_file(run_directory(trainer) / "weights" / f"step_{trainer.global_step:09d}.npz") as file:
            np.savez(file, allow_pickle=False, **origin, **self.latest)

    def collect(self, shard: Shard, w: Tensor) -> NDArray[Any]:
        """The kept instances of a tensor, on the first process. All processes must call it.

        Args:
            shard: The instances that this process holds.
            w: A tensor with an entry for each of these instances.
        """
        held = [at - shard.held.start for at in self.kept if shard.held.start <= at < shard.held.stop]
        values = shard.collect(w[held])
        if shard.rank > 0:
            return values.cpu().numpy()
        holder = np.searchsorted([one.stop for one in shard.slices], self.kept, side="right")
        # The values are in order of ranks, and within a rank in the order of `kept`.
        return values.cpu().numpy()[np.argsort(np.argsort(holder, kind="stable"))]

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.next_step(trainer.global_step)
        super().on_train_start(trainer, pl_module)
