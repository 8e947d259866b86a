from __future__ import annotations

import functools
from typing import Any

import torch
from jaxtyping import Float64
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from polysemantic.callbacks.measurements import Measurements, gathered
from polysemantic.callbacks.rotation import instance_blocks, matrices, rotation_gap, without
from polysemantic.functional import (
    all_finite,
    classify_same_sign,
    collision_counts,
    disambiguation_by_ablation,
    interference_sums,
    mean_over_collisions,
    price_collisions,
    same_sign_counts,
)
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.training.allocator import default_malloc_thresholds, trim_heap

# One in so many measurements takes these in.
_EVERY = 20
# Collisions of one instance beyond which they are not told apart: an untrained dense network has millions.
_COLLISIONS = 100_000
_KINDS = ("collisions_compensated", "collisions_disambiguated", "collisions_costly")
_TAGS = {name: f"collisions/{name}" for name in ("collision_cost", "collision_excess_cost", *_KINDS)} | {
    "rotation_gap": "basis/rotation_gap"
}
_COLUMNS = (*_TAGS, "disambiguation_neuron")


class CostlyMeasurements(Callback):
    """What takes too long to be measured every time: the rotation gap and what collisions cost.

    A rotation gap without closed form takes 32 evaluations of the objective or more, and telling collisions apart the
    interference cost of every pair of features: together some ten optimiser steps or more. So both are measured at
    every twentieth measurement and the last one only, and are missing from the history in between.

    Args:
        measurements: The callback that measures, to whose history these columns are added.

    Raises:
        ValueError: If a metric of `measurements` has one of these columns.
    """

    def __init__(self, measurements: Measurements) -> None:
        measurements.check_columns(_COLUMNS)
        self.measurements = measurements

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        # Here, as `measurements` may have been through another run, and begins anew.
        self.measurements.tags |= _TAGS
        self.measurements.whole |= {*_KINDS, "disambiguation_neuron"}

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follow(trainer, pl_module)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._follow(trainer, pl_module)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._follow(trainer, pl_module)

    def _follow(self, trainer: Trainer, module: Any) -> None:
        """Add a row for each measurement that has none yet."""
        steps, history = self.measurements.steps, self.measurements.history
        last = trainer.global_step >= trainer.max_steps or trainer.should_stop
        for at in range(len(history.get("rotation_gap", [])), len(steps)):
            due = steps[at] == trainer.global_step and (at % _EVERY == 0 or last)
            for name, values in (self.measure(module) if due else _missing(module)).items():
                history.setdefault(name, []).append(values)

    @torch.no_grad()
    def measure(self, module: Any) -> dict[str, Float64[Tensor, " instance"]]:
        """The costly columns for each instance of the run, on the CPU; nan where they do not apply."""
        trim_heap()  # Earlier measurements have freed allocations of other sizes.
        with default_malloc_thresholds():
            columns = _pairs(module, self.measurements.partition_of(module.data))
            columns["rotation_gap"] = rotation_gap(module)
        return gathered({name: values.double().cpu() for name, values in columns.items()}, module.shard)


def _missing(module: Any) -> dict[str, Tensor]:
    nothing = torch.full((module.shard.length,), torch.nan, dtype=torch.float64)
    return dict.fromkeys(_COLUMNS, nothing)


def _pairs(module: Any, partition: Tensor | None) -> dict[str, Tensor]:
    """What collisions cost, what became of same-sign ones, and which neuron disambiguates."""
    networks, data = module.networks, module.data
    parts = []
    for block in instance_blocks(networks, data.evaluation_size):
        inputs = [module.evaluation_inputs(batch, block) for batch in data.val_dataloader()]
        parts.append(_pairs_of(networks.subset(block), inputs, data.joint()[block], partition))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _pairs_of(
    networks: Autoencoder, batches: list[Tensor], cooccurrence: Tensor, partition: Tensor | None
) -> dict[str, Tensor]:
    weights = networks.weights
    few = torch.stack(collision_counts(weights.W_enc, weights.W_dec)).sum(0) <= _COLLISIONS
    usable = few & all_finite(weights.W_enc, weights.W_dec, weights.b_dec)
    networks = without(networks, ~usable)

    # Over all inputs at once they would take several times the memory.
    sums = (torch.stack(interference_sums(x, networks(x)[1])) for x in batches)
    numerator, denominator = functools.reduce(torch.Tensor.add_, sums)
    columns = of_collisions(*matrices(networks), numerator, denominator, cooccurrence)
    columns["disambiguation_neuron"] = torch.full_like(columns["collision_cost"], torch.nan)
    if partition is not None:

        def reconstruct(W_enc: Tensor, W_dec: Tensor) -> Tensor:
            twin = networks.with_weights(W_enc, W_dec)
            return torch.cat([twin(x)[1] for x in batches], 1)

        x = torch.cat(batches, 1)
        found = disambiguation_by_ablation(reconstruct, x, *matrices(networks), partition, cooccurrence)
        columns["disambiguation_neuron"] = found.neuron.double().masked_fill(found.neuron < 0, torch.nan)
    return {name: values.where(usable, torch.nan) for name, values in columns.items()}


def of_collisions(
    W_enc: Tensor, W_dec: Tensor, numerator: Tensor, denominator: Tensor, cooccurrence: Tensor
) -> dict[str, Float64[Tensor, " instance"]]:
    """What collisions cost by `interference_sums` of some inputs, and the kinds of same-sign ones."""
    priced = price_collisions(W_enc, W_dec, numerator, denominator)
    kinds = classify_same_sign(priced.collisions, W_enc, W_dec, priced.excess, cooccurrence)
    counts = same_sign_counts(priced.collisions, kinds, len(W_enc))
    return {
        "collision_cost": mean_over_collisions(priced.cost, priced.collisions),
        "collision_excess_cost": mean_over_collisions(priced.excess, priced.collisions),
        **{f"collisions_{name}": n.double() for name, n in counts._asdict().items()},
    }
