from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from polysemantic.functional import (
    all_finite,
    effective_weight,
    has_converged,
    hysteresis,
    instance_blocks,
    is_still,
    max_move,
    pack_flags,
    privilege,
    relative_change,
    unpack_flags,
)
from polysemantic.training.cadence import rounded_interval, steps_to_move
from polysemantic.training.module import EnsembleModule, ensemble_module
from polysemantic.training.shard import Shard
from polysemantic.training.step_callback import StepCallback
from polysemantic.validation.arguments import checked_arguments
from polysemantic.validation.checks import check_at_least_one, check_not_negative

# The default interval lets a weight move this far between two checks, 25 times the `tolerance` for a still one.
_MOVE = 0.5
# Evaluations of the fourth norm per check. Their mean averages out the optimiser's jitter.
_SAMPLES = 5
# Checks per exchange of results between processes, as each exchange waits for the slowest process.
_CHECKS_PER_EXCHANGE = 10
# Weights per cache block: few enough for the cache, and enough that the overhead of a call does not matter.
_WEIGHTS_PER_BLOCK = 2**18


class Convergence(StepCallback):
    """Records the step at which each instance converged or diverged, and can end the run once every instance has.

    A check finds an instance still if three things hold. The fourth norm, averaged over five evaluations at even
    distances since the previous check, changed by a share below `max_change` against the average of that check. The
    same weights are carried, with hysteresis: on from 0.5 until below 0.3, as seen at checks. No weight moved by
    `tolerance`. An instance that is still at `n_checks` checks in a row has converged, for good. The exception is an
    instance under L1 or noise with a privilege below `min_privilege`: it rests on a plateau that it will leave. The
    third check is the first one that can find an instance converged.

    An instance whose weights or loss are not finite has diverged. Its weights become nan, so that it trains no more.

    Between checks the callback keeps the weights of the last check in float16 (precise to a fortieth of `tolerance` for
    weights up to 1) and one bit for each weight. From the first check on this takes 0.53 times the memory of the
    parameters in float32, also in checkpoints.

    Args:
        every_n_steps: Steps between two checks. None: 0.5 / learning rate, or for SGD, whose steps shrink with its
            gradients, 0.5 / (learning rate * mean P(i on)); at most a hundred checks in a run.
        stop: Whether to end the run once every instance has converged or diverged.
        min_steps: First step at which an instance can have converged, for schedules that start slowly.
        n_checks: Number of checks in a row that must find an instance still.
        max_change: Bound on the relative change of the fourth norm.
        tolerance: Bound on the change of any weight between two checks.
        min_privilege: Smallest privilege of a converged instance under L1 or noise.

    Raises:
        ValueError: If a number is out of its range.
    """

    in_passing = True

    @checked_arguments()
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
        self._reset(Shard(0))

    def _reset(self, shard: Shard) -> None:
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
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit" or not len(self.converged_step):
            self._reset(ensemble_module(pl_module).shard)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        interval = steps_to_move(_MOVE, trainer.optimizers[0], ensemble_module(pl_module).data) or 1
        # With a multiple of this interval, the fourth norm is evaluated at steps at which collisions are observed. Each
        # further step to act at would cut a chunk of training steps short.
        checks = max(1, -(-(trainer.max_steps // 100) // interval))
        self._default_interval = rounded_interval(checks * interval, _SAMPLES)
        self._keep_interval(self._loaded_interval)
        super().on_train_start(trainer, pl_module)
        self._stop_if_over(trainer)

    def _keep_interval(self, interval: int | None) -> None:
        """Keep the interval of the run that is continued. If the user asks for another one, forget earlier checks."""
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
        """The steps at which instances converged and diverged; nan for instances that did not."""
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
        """The first step after `step` at which to evaluate the fourth norm; the fifth evaluation falls on the check."""
        done = step % self._interval
        samples = (-(-self._interval * sample // _SAMPLES) for sample in range(1, _SAMPLES + 1))
        return step - done + next(sample for sample in samples if sample > done)

    @override
    @torch.no_grad()
    def act(self, trainer: Trainer, module: EnsembleModule) -> None:
        step = trainer.global_step
        self._freeze_diverged(module, step)
        # A run may end between two evaluations. To evaluate there would change the averages of a run that continues it.
        if step == 0 or step != self._following(step - 1):
            return
        matrices = _matrices(module)
        self._samples.append(
            torch.cat([_fourth_norm(_effective(matrices, block)) for block in _blocks(matrices)]).cpu()
        )
        if step % self._interval == 0:
            self._check(module, matrices, step)
            if self.stop or self._shard.ranks == 1 or step % (_CHECKS_PER_EXCHANGE * self._interval) == 0:
                self._exchange(module)
            self._stop_if_over(trainer)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        self._exchange(ensemble_module(pl_module))

    def _freeze_diverged(self, module: EnsembleModule, step: int) -> None:
        """Set all weights of diverged instances to nan, which no optimiser step changes."""
        weights = module.networks.weights
        finite = all_finite(weights.W_enc, weights.W_dec, weights.b_dec, module.loss)
        new = (~finite).cpu() & (self._diverged < 0)
        if new.any():
            weights.map(lambda w: w.masked_fill_(~finite.view(-1, *[1] * (w.ndim - 1)), torch.nan))
            self._diverged[new] = step

    def _exchange(self, module: EnsembleModule) -> None:
        """Exchange results between processes, and print a line the first time that an instance has diverged."""
        self.converged_step = self._shard.gather(self._converged).clone()
        before, self.diverged_step = self.diverged_step, self._shard.gather(self._diverged).clone()
        diverged = (self.diverged_step >= 0).nonzero().flatten().tolist()
        if diverged and (before < 0).all():
            first, *others = diverged
            more = f" and {len(others)} more" if others else ""
            step = self.diverged_step[diverged].min()
            module.print(f"diverged by step {step} and frozen: instance {first}{more}, see `diverged_step`.")

    def _check(self, module: EnsembleModule, matrices: list[Tensor], step: int) -> None:
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
        """Which instances are still, and their privilege. Replaces the kept weights by the present ones."""
        if not self._previous:
            self._previous = [w.to(torch.float16) for w in matrices]
            self._on = [pack_flags(torch.zeros_like(matrices[0], dtype=torch.bool))]
        # A checkpoint may have been loaded to another device.
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
            # `|=`, because another callback may have asked for the end of the run.
            trainer.should_stop |= trainer.strategy.reduce_boolean_decision(bool(over.all()), all=True)

    @override
    def state_dict(self) -> dict[str, Any]:
        held = {name: _map(getattr(self, name), self._shard.collect) for name in _OF_SHARD}
        state = {"interval": self._interval, "converged_step": self._shard.collect(self._converged)}
        return super().state_dict() | state | held

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._loaded_interval = state_dict["interval"]
        self.converged_step, self.diverged_step = state_dict["converged_step"].clone(), state_dict["_diverged"].clone()
        self._converged = self.converged_step[self._shard.held].clone()
        for name in _OF_SHARD:
            setattr(self, name, _map(state_dict[name], lambda values: values[self._shard.held].clone()))


# State of the instances that this process holds. `converged_step` and `diverged_step` are those of all instances, as of
# the last exchange between processes.
_OF_SHARD = ("_diverged", "_n_still", "_mean", "_samples", "_previous", "_on")


def _map(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return [change(values) for values in state] if isinstance(state, list) else change(state)


def _matrices(module: EnsembleModule) -> list[Tensor]:
    """The encoder and, if untied, the decoder."""
    weights = module.networks.weights
    return [w.detach() for w in (weights.W_enc, weights.W_dec) if w is not None]


def _blocks(matrices: list[Tensor]) -> list[slice]:
    _, n_features, n_hidden = matrices[0].shape
    return instance_blocks(matrices[0], n_features * n_hidden, _WEIGHTS_PER_BLOCK)


def _effective(matrices: list[Tensor], block: slice) -> Tensor:
    return effective_weight(*(w[block] for w in matrices))


def _fourth_norm(w: Tensor) -> Tensor:
    """The fourth norm with sums over neurons in float32, whose error is a thousandth of the default `max_change`."""
    return w.square().square_().sum(-1).double().mean(-1)
