from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import Trainer
from rich.console import Console
from torch import Tensor
from typing_extensions import override

from polysemantic.callbacks.collisions.prices import interference_costs
from polysemantic.callbacks.collisions.records import LifeRecords, LifeThresholds
from polysemantic.callbacks.collisions.shards import collected_lives, held_lives
from polysemantic.callbacks.directory import run_directory
from polysemantic.functional import LargeWeights, large_weights
from polysemantic.storage.files import write_parquet
from polysemantic.training.cadence import rounded_interval, steps_to_move
from polysemantic.training.step_callback import StepCallback
from polysemantic.validation.checks import check_at_least_one, check_positive

# A weight moves by no more than this between two observations.
_MOVE = 0.1
# Where that is more often than every hundred steps, a long run would spend its time on observations. They then come a
# thousand in a run, or where that is more often, every so many multiplications of one instance but not every step.
_OBSERVATIONS, _OFTEN_ENOUGH, _WORK, _LEAST = 1000, 100, 2**21, 4


class CollisionTracker(StepCallback):
    """Follows every collision from its birth to its end and writes `collisions.parquet` at the end of the fit.

    A weight is on from `born` until it falls below `ended`, a collision lives while two features are on at one neuron,
    and is settled once both reach `settled` (`functional.follow_lives`). Its cost is measured on the evaluation draws
    when it is born, at every tenth observation, while a weight is below `born`, and at the end of the fit, so that the
    last one before its end is known.

    Args:
        every_n_steps: Steps between two observations; None for 0.1 / learning rate (of SGD, whose steps are as small as
            its gradients: 0.1 / (learning rate * mean P(i on))). Where that is below a hundred, a run of more than a
            thousand times as many steps observes more seldom if its steps are so cheap that it would do little else:
            every 2^21 / (features * neurons * batch) steps, or every fourth, but a thousand times at least.
        cost_every: Observations between two measurements of all costs, each of which takes as long as some steps.
        max_lives: Lives of one instance up to which it is observed. Far more than trained networks have; it bounds what
            is kept of dense ones, such as those with a large `init_scale`.
        born: Magnitude from which a weight is on.
        ended: Magnitude below which it is off again. One near `born` counts the optimiser's jitter as deaths.
        settled: Magnitude that both weights of a settled collision have reached.

    Raises:
        ValueError: If `every_n_steps`, `cost_every` or `max_lives` is below 1, or unless
            0 < `ended` <= `born` <= `settled`.
    """

    in_passing = True

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
        self._noticed = False
        self._loaded: dict[str, Any] | None = None

    @override
    @torch.no_grad()
    def act(self, trainer: Trainer, module: Any) -> None:
        assert self.records is not None
        weights = module.networks.weights
        step, every = trainer.global_step, self.cost_every * (self.every_n_steps or self._default_interval)
        cost, cost_due = partial(interference_costs, module), step % every == 0
        if self.records.pass_by(step, weights):
            if cost_due:
                self.records.price(cost)
            return
        large = large_weights(weights.W_enc, weights.W_dec, self.thresholds.ended)
        large = LargeWeights(large.shape, large.place.cpu(), large.value.cpu(), large.finite.cpu())
        self.records.observe(step, large, cost, cost_due=cost_due)
        self._notice(trainer)

    def _notice(self, trainer: Trainer) -> None:
        assert self.records is not None
        crowded = int(self.records.crowded.sum())
        if crowded > 0 and not self._noticed and (trainer.is_global_zero or self._shard.ranks > 1):
            Console(stderr=True).print(
                f"{crowded} of {len(self.records.crowded)} instances have more than {self.max_lives} collisions; "
                "their lives are not followed while they do (`collisions.max_lives`).",
                soft_wrap=True,
                highlight=False,
            )
            self._noticed = True

    @override
    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        interval = steps_to_move(_MOVE, trainer.optimizers[0], pl_module.data) or self._default_interval
        if interval < _OFTEN_ENOUGH:
            affordable = max(_LEAST, _WORK // multiplications(pl_module))
            interval = max(interval, min(rounded_interval(trainer.max_steps // _OBSERVATIONS), affordable))
        self._default_interval = interval
        self._begin(pl_module)
        super().on_train_start(trainer, pl_module)

    def _begin(self, module: Any) -> None:
        self._shard = module.shard
        self.records = self._blank(module, self._shard.size)
        if self._loaded is not None:
            self.records.load_state_dict(held_lives(self._loaded, self.records.shape, self._shard))
            self._default_interval, self._loaded = self._loaded["interval"], None

    @override
    @torch.no_grad()
    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self.records is None:
            # Trained to the end before it was interrupted: nothing is left but to say how it ended.
            self._begin(pl_module)
        assert self.records is not None
        self.records.price(lambda codes: interference_costs(pl_module, codes))
        state = collected_lives(self.records.state_dict(), self.records.shape, self._shard)
        if trainer.is_global_zero and trainer.logger is not None:
            self.whole = self._blank(pl_module, self._shard.length)
            self.whole.load_state_dict(state)
            write_parquet(run_directory(trainer) / "collisions.parquet", self.whole.table())

    def _blank(self, module: Any, n_instances: int) -> LifeRecords:
        return LifeRecords((n_instances, module.n_features, module.n_hidden), self.max_lives, self.thresholds)

    @property
    def columns(self) -> dict[str, Float[Tensor, " instance"]]:
        """Collisions of each instance that were born, settled and resolved, once the fit has ended."""
        if self.whole is None:
            return {}
        return {f"collisions_{name}": count for name, count in self.whole.counts().items()}

    @override
    def state_dict(self) -> dict[str, Any]:
        if self.records is None:
            return super().state_dict()
        state = collected_lives(self.records.state_dict(), self.records.shape, self._shard)
        return super().state_dict() | state | {"interval": self._default_interval}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._loaded = state_dict


def multiplications(module: Any) -> int:
    """Multiplications of one matrix product of one instance's step."""
    return int(module.n_features * module.n_hidden * module.data.batch_size)
