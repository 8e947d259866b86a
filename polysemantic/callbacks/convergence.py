from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from typing_extensions import override

from polysemantic.functional import (
    all_finite,
    cache_blocks,
    effective_weight,
    has_converged,
    hysteresis,
    is_still,
    max_move,
    numbers_at_once,
    pack_flags,
    privilege,
    relative_change,
    unpack_flags,
)
from polysemantic.training.cadence import rounded_interval, steps_to_move
from polysemantic.training.shard import Shard
from polysemantic.training.step_callback import StepCallback
from polysemantic.validation.checks import check_at_least_one, check_not_negative

# A weight could move by this between two checks, far beyond what passes for still.
_MOVE = 0.5
# Evaluations of the fourth norm for each check: enough to average out the optimiser's jitter.
_SAMPLES = 5
# Checks between which processes do not tell one another what they found: each time all wait for the slowest.
_CHECKS_APART = 10
# Weights looked at together: few enough for the cache, enough to drown the cost of a call.
_WEIGHTS_AT_ONCE = 2**18


class Convergence(StepCallback):
    """Notes when each instance stops changing, and ends the run when all have, if told to.

    A check finds an instance still if the fourth norm, averaged over five evaluations spread evenly over the steps
    since the check before, changed by a share below `max_change` against the average of that check; if the same weights
    are carried, on from 0.5 until below 0.3 as the checks see them; and if no weight moved by `tolerance`. An instance
    that is still `n_checks` times running has converged, for good, unless it trains under L1 or noise and its privilege
    is below `min_privilege`: then it rests on a plateau that it will leave. The third check is the earliest to say so.

    Between checks it keeps the weights of the last one, in float16 (up to 1 precise to a fortieth of `tolerance`),
    and a flag for each: 0.53 times the parameters in float32, in memory and in checkpoints, from the first check on.

    Args:
        every_n_steps: Steps between two checks; None for 0.5 / learning rate (of SGD, whose steps are as small as its
            gradients: 0.5 / (learning rate * mean P(i on))), but for at most a hundred checks in a run.
        stop: Whether to end the run once every instance has converged or diverged.
        min_steps: First step at which an instance can have converged, for schedules that start slowly.
        n_checks: Checks running that must find an instance still.
        max_change: Bound on the relative change of the fourth norm.
        tolerance: Bound on the move of any weight.
        min_privilege: Least privilege of a converged instance under L1 or noise.

    Raises:
        ValueError: If a number is out of its range.
    """

    in_passing = True

    def __init__(
        self,
        every_n_steps: int | None = None,
        stop: bool = False,
        min_steps: int = 0,
        n_checks: int = 2,
        max_change: float = 1e-3,
        tolerance: float = 0.02,
        min_privilege: float = 0.5,
    ) -> None:
        super().__init__(every_n_steps)
        check_at_least_one(n_checks=n_checks)
        check_not_negative(min_steps=min_steps, max_change=max_change, tolerance=tolerance)
        if not min_privilege <= 1:
            raise ValueError(f"`min_privilege` must be at most 1, got {min_privilege}.")
        self.stop, self.min_steps, self.n_checks = stop, min_steps, n_checks
        self.max_change, self.tolerance, self.min_privilege = max_change, tolerance, min_privilege
        self._loaded_interval: int | None = None
        self._begin(Shard(0))

    def _begin(self, shard: Shard) -> None:
        self._shard = shard
        self.converged_step = torch.full((shard.length,), -1)
        self.diverged_step = torch.full((shard.length,), -1)
        self._converged, self._diverged = torch.full((2, shard.size), -1)
        self._n_still = torch.zeros(shard.size, dtype=torch.int64)
        self._mean = torch.full((shard.size,), torch.nan, dtype=torch.float64)
        self._samples: list[Tensor] = []
        self._previous: list[Tensor] = []
        self._on: list[Tensor] = []

    @override
    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit" or not len(self.converged_step):
            self._begin(pl_module.shard)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        interval = steps_to_move(_MOVE, trainer.optimizers[0], pl_module.data) or 1
        # The fourth norm is then evaluated where collisions are observed, or chunks of steps would end here and there.
        checks = max(1, -(-(trainer.max_steps // 100) // interval))
        self._default_interval = rounded_interval(checks * interval, _SAMPLES)
        self._go_on(self._loaded_interval)
        super().on_train_start(trainer, pl_module)
        self._stop_if_over(trainer)

    def _go_on(self, interval: int | None) -> None:
        """Keep the interval of the run that is continued; where another is asked for, compare nothing across it."""
        if interval is None:
            return
        if self.every_n_steps is None:
            self._default_interval = interval
        elif self.every_n_steps != interval:
            self._samples = []
            self._n_still.zero_()
            self._mean.fill_(torch.nan)

    @property
    def columns(self) -> dict[str, Tensor]:
        """The steps at which instances were found converged and diverged, nan for those that were not."""
        steps = {"converged_step": self.converged_step, "diverged_step": self.diverged_step}
        return {name: step.double().where(step >= 0, torch.nan) for name, step in steps.items()}

    @property
    def _interval(self) -> int:
        return self.every_n_steps or self._default_interval

    @override
    def next_step(self, step: int) -> int:
        self._next_step = self._following(step)
        return self._next_step

    def _following(self, step: int) -> int:
        """The first step after `step` to evaluate the fourth norm at, each check's own the last of five."""
        done = step % self._interval
        samples = (-(-self._interval * sample // _SAMPLES) for sample in range(1, _SAMPLES + 1))
        return step - done + next(sample for sample in samples if sample > done)

    @override
    @torch.no_grad()
    def act(self, trainer: Trainer, module: Any) -> None:
        step = trainer.global_step
        self._freeze_diverged(module, step)
        # A run that ended between two evaluations and is continued must go on as if it had not been interrupted.
        if step == 0 or step != self._following(step - 1):
            return
        matrices = _matrices(module)
        self._samples.append(
            torch.cat([_fourth_norm(_effective(matrices, block)) for block in _blocks(matrices)]).cpu()
        )
        if step % self._interval == 0:
            self._check(module, matrices, step)
            if self.stop or self._shard.ranks == 1 or step % (_CHECKS_APART * self._interval) == 0:
                self._share(module)
            self._stop_if_over(trainer)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        super().on_train_end(trainer, pl_module)
        self._share(pl_module)

    def _freeze_diverged(self, module: Any, step: int) -> None:
        """Make what is not finite nan, which no optimiser moves any more."""
        weights = module.networks.weights
        finite = all_finite(weights.W_enc, weights.W_dec, weights.b_dec, module.loss)
        new = (~finite).cpu() & (self._diverged < 0)
        if new.any():
            weights.map(lambda w: w.masked_fill_(~finite.view(-1, *[1] * (w.ndim - 1)), torch.nan))
            self._diverged[new] = step

    def _share(self, module: Any) -> None:
        """Let all processes know what each found, and say so the first time that an instance has diverged."""
        self.converged_step = self._shard.gather(self._converged).clone()
        before, self.diverged_step = self.diverged_step, self._shard.gather(self._diverged).clone()
        diverged = (self.diverged_step >= 0).nonzero().flatten().tolist()
        if diverged and (before < 0).all():
            first, *others = diverged
            more = f" and {len(others)} more" if others else ""
            step = self.diverged_step[diverged].min()
            module.print(f"diverged by step {step} and frozen: instance {first}{more}, see `diverged_step`.")

    def _check(self, module: Any, matrices: list[Tensor], step: int) -> None:
        mean = torch.stack(self._samples).mean(0)
        change, self._mean, self._samples = relative_change(self._mean, mean), mean, []
        still, privileges = self._compare(matrices, change.to(matrices[0].device))
        self._n_still = torch.where(still, self._n_still + 1, 0)
        converged = has_converged(
            self._n_still,
            privileges,
            (module.number("l1") > 0) | (module.number("noise_std") > 0),
            step=step,
            min_steps=self.min_steps,
            n_checks=self.n_checks,
            min_privilege=self.min_privilege,
        )
        self._converged[converged & (self._converged < 0)] = step

    def _compare(self, matrices: list[Tensor], change: Tensor) -> tuple[Tensor, Tensor]:
        """Which instances are still, and their privilege; their weights are then those of the last check."""
        if not self._previous:
            self._previous = [w.to(torch.float16) for w in matrices]
            self._on = [pack_flags(torch.zeros_like(matrices[0], dtype=torch.bool))]
        # A checkpoint may have been read into the memory of another device.
        self._previous, self._on = ([w.to(change.device) for w in kept] for kept in (self._previous, self._on))
        still, privileges = [], []
        for block in _blocks(matrices):
            w = _effective(matrices, block)
            was_on = unpack_flags(self._on[0][block], w.shape[-1])
            on = hysteresis(was_on, w)
            moves = [max_move(old[block], new[block]) for old, new in zip(self._previous, matrices, strict=True)]
            bounds = {"max_change": self.max_change, "tolerance": self.tolerance}
            still.append(is_still(change[block], was_on, on, torch.stack(moves).amax(0), **bounds))
            privileges.append(privilege(w))
            self._on[0][block] = pack_flags(on)
            for old, new in zip(self._previous, matrices, strict=True):
                old[block] = new[block]
        return torch.cat(still).cpu(), torch.cat(privileges).cpu()

    def _stop_if_over(self, trainer: Trainer) -> None:
        if self.stop:
            over = (self.converged_step >= 0) | (self.diverged_step >= 0)
            # Added to, as another callback may want to end the run too.
            trainer.should_stop |= trainer.strategy.reduce_boolean_decision(bool(over.all()), all=True)

    @override
    def state_dict(self) -> dict[str, Any]:
        held = {name: _each(getattr(self, name), self._shard.collect) for name in _OF_INSTANCES}
        state = {"interval": self._interval, "converged_step": self._shard.collect(self._converged)}
        return super().state_dict() | state | held

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._loaded_interval = state_dict["interval"]
        self.converged_step, self.diverged_step = state_dict["converged_step"].clone(), state_dict["_diverged"].clone()
        self._converged = self.converged_step[self._shard.held].clone()
        for name in _OF_INSTANCES:
            setattr(self, name, _each(state_dict[name], lambda whole: whole[self._shard.held].clone()))


# Of those that each process holds; `converged_step` and `diverged_step` every process knows of all, now and then.
_OF_INSTANCES = ("_diverged", "_n_still", "_mean", "_samples", "_previous", "_on")


def _each(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return [change(values) for values in state] if isinstance(state, list) else change(state)


def _matrices(module: Any) -> list[Tensor]:
    """Encoder and, if untied, decoder."""
    weights = module.networks.weights
    return [w.detach() for w in (weights.W_enc, weights.W_dec) if w is not None]


def _blocks(matrices: list[Tensor]) -> list[slice]:
    n_instances, n_features, n_hidden = matrices[0].shape
    return cache_blocks(n_instances, n_features * n_hidden, numbers_at_once(matrices[0].device, _WEIGHTS_AT_ONCE))


def _effective(matrices: list[Tensor], block: slice) -> Tensor:
    return effective_weight(*(w[block] for w in matrices))


def _fourth_norm(w: Tensor) -> Tensor:
    """The fourth norm with the sums over neurons in float32, which is precise to a thousandth of what a check asks."""
    return w.square().square_().sum(-1).double().mean(-1)
