from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule, Trainer
from rich.console import Console
from torch import Tensor
from typing_extensions import override

from polysemantic.callbacks.collisions.costs import interference_costs
from polysemantic.callbacks.collisions.records import LifeRecords, LifeThresholds
from polysemantic.callbacks.collisions.shards import collect_lives, shard_lives
from polysemantic.callbacks.directory import run_directory
from polysemantic.functional import LargeWeights, large_weights
from polysemantic.storage.files import write_parquet
from polysemantic.training.cadence import rounded_interval, steps_to_move
from polysemantic.training.module import EnsembleModule, ensemble_module
from polysemantic.training.step_callback import StepCallback
from polysemantic.validation.arguments import checked_arguments
from polysemantic.validation.checks import check_at_least_one, check_positive

# The default interval lets a weight move this far between two observations.
_MOVE = 0.1
# Where that interval is below `_SHORT` steps, a long run would spend most of its time on observations. The interval is
# then raised to the shorter of two: that of `_OBSERVATIONS` in the run, and the steps that take `_MULTIPLICATIONS` of
# one instance in one matrix product, but at least `_SHORTEST` steps.
_SHORT, _OBSERVATIONS, _MULTIPLICATIONS, _SHORTEST = 100, 1000, 2**21, 4


class CollisionTracker(StepCallback):
    """Records the life of every collision and writes `collisions.parquet` at the end of the fit.

    A weight is on, with hysteresis, from `born` until it falls below `ended`. A collision lives while two features are
    on at one neuron, and settles once both weights reach `settled` (`functional.follow_lives`). A collision that is
    alive at the end of the run is censored there.

    The interference cost of a collision is measured on the evaluation draws when it is born, at every tenth
    observation, while a weight is below `born`, and at the end of the fit. The last cost before its end is then known.

    Args:
        every_n_steps: Steps between two observations. None: 0.1 / learning rate, or for SGD, whose steps shrink with
            its gradients, 0.1 / (learning rate * mean P(i on)). If this is below 100 steps and gives more than 1000
            observations, the interval is longer: 2^21 / (features * neurons * batch) steps, at least 4, but not so long
            that a run has fewer than 1000 observations.
        cost_every: Observations between two measurements of all costs, which take as long as several steps.
        max_lives: Number of lives up to which an instance is observed. Trained networks have far fewer; the bound
            limits the memory that dense networks take, such as those with a large `init_scale`.
        born: Magnitude from which a weight is on.
        ended: Magnitude below which a weight is off again. A value near `born` counts the optimiser's jitter as ends.
        settled: Magnitude that both weights of a settled collision have reached.

    Raises:
        ValueError: If `every_n_steps`, `cost_every` or `max_lives` is below 1, or unless
            0 < `ended` <= `born` <= `settled`.
    """

    in_passing = True

    @checked_arguments()
    def __init__(
        self,
        every_n_steps: int | None = None,
        cost_every: int = 10,
        max_lives: int = 50_000,
        born: float = 0.5,
        ended: float = 0.3,
        settled: float = 0.7,
    ) -> None:
        super().__init__(every_n_steps)
        check_at_least_one(cost_every=cost_every, max_lives=max_lives)
        check_positive(born=born)
        if not 0 < ended <= born:
            raise ValueError(f"`ended` must lie in (0, born = {born}], got {ended}.")
        if not settled >= born:
            raise ValueError(f"`settled` must be at least born = {born}, got {settled}.")
        self.cost_every, self.max_lives = cost_every, max_lives
        self.thresholds = LifeThresholds(born, ended, settled)
        self.records: LifeRecords | None = None
        self.whole: LifeRecords | None = None
        self._warned = False
        self._loaded: dict[str, Any] | None = None

    @override
    @torch.no_grad()
    def act(self, trainer: Trainer, module: EnsembleModule) -> None:
        assert self.records is not None
        weights = module.networks.weights
        step, every = trainer.global_step, self.cost_every * (self.every_n_steps or self._default_interval)
        cost, cost_due = partial(interference_costs, module), step % every == 0
        if self.records.skip_unchanged(step, weights):
            if cost_due:
                self.records.measure_costs(cost)
            return
        large = large_weights(weights.W_enc, weights.W_dec, self.thresholds.ended)
        large = LargeWeights(large.shape, large.place.cpu(), large.value.cpu(), large.finite.cpu())
        self.records.observe(step, large, cost, cost_due=cost_due)
        self._warn_of_crowded(trainer)

    def _warn_of_crowded(self, trainer: Trainer) -> None:
        assert self.records is not None
        crowded = int(self.records.crowded.sum())
        if crowded > 0 and not self._warned and (trainer.is_global_zero or self._shard.ranks > 1):
            Console(stderr=True).print(
                f"{crowded} of {len(self.records.crowded)} instances have more than {self.max_lives} collisions; "
                "their lives are not followed while they do (`collisions.max_lives`).",
                soft_wrap=True,
                highlight=False,
            )
            self._warned = True

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = ensemble_module(pl_module)
        interval = steps_to_move(_MOVE, trainer.optimizers[0], module.data) or self._default_interval
        if interval < _SHORT:
            affordable = max(_SHORTEST, _MULTIPLICATIONS // _multiplications(module))
            interval = max(interval, min(rounded_interval(trainer.max_steps // _OBSERVATIONS), affordable))
        self._default_interval = interval
        self._begin(module)
        super().on_train_start(trainer, pl_module)

    def _begin(self, module: EnsembleModule) -> None:
        self._shard = module.shard
        self.records = self._empty_records(module, self._shard.size)
        if self._loaded is not None:
            self.records.load_state_dict(shard_lives(self._loaded, self.records.shape, self._shard))
            self._default_interval, self._loaded = self._loaded["interval"], None

    @override
    @torch.no_grad()
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = ensemble_module(pl_module)
        if self.records is None:
            # The run was interrupted after its last step, so that no training started and only files are to be written.
            self._begin(module)
        assert self.records is not None
        self.records.measure_costs(lambda codes: interference_costs(module, codes))
        state = collect_lives(self.records.state_dict(), self.records.shape, self._shard)
        if trainer.is_global_zero and trainer.logger is not None:
            self.whole = self._empty_records(module, self._shard.length)
            self.whole.load_state_dict(state)
            write_parquet(run_directory(trainer) / "collisions.parquet", self.whole.table())

    def _empty_records(self, module: EnsembleModule, n_instances: int) -> LifeRecords:
        return LifeRecords((n_instances, module.n_features, module.n_hidden), self.max_lives, self.thresholds)

    @property
    def columns(self) -> dict[str, Float[Tensor, " instance"]]:
        """Number of collisions of each instance that were born, settled and resolved; empty until the fit has ended."""
        if self.whole is None:
            return {}
        return {f"collisions_{name}": count for name, count in self.whole.counts().items()}

    @override
    def state_dict(self) -> dict[str, Any]:
        if self.records is None:
            return super().state_dict()
        state = collect_lives(self.records.state_dict(), self.records.shape, self._shard)
        return super().state_dict() | state | {"interval": self._default_interval}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._loaded = state_dict


def _multiplications(module: EnsembleModule) -> int:
    """Multiplications in one matrix product of a step of one instance."""
    return module.n_features * module.n_hidden * module.data.batch_size
