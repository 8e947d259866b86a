from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float64
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from polysemantic.autoencoder import Autoencoder
from polysemantic.callbacks.measurements import Measurements
from polysemantic.callbacks.rotation import matrices, rotation_gap, without
from polysemantic.functional import (
    all_finite,
    classify_same_sign,
    collision_counts,
    disambiguation_by_ablation,
    effective_weight,
    excess_cost,
    find_collisions,
    interference_cost,
    interference_sums,
    same_sign_counts,
    shares_neuron,
)

# One in so many measurements takes these in.
_EVERY = 20
# Collisions of one instance beyond which they are not told apart: an untrained dense network has millions.
_COLLISIONS = 100_000
# Numbers in one matrix of a block of instances.
_AT_ONCE = 2**20


class CostlyMeasurements(Callback):
    """What takes too long to be measured every time: the rotation gap and what same-sign collisions cost.

    A rotation gap without closed form takes 32 evaluations of the objective or more, and telling collisions apart the
    interference cost of every pair of features: together some ten optimiser steps or more. So both are measured at
    every twentieth measurement and the last one only, and are missing from the history in between.

    Args:
        measurements: The callback that measures, to whose history these columns are added.
    """

    def __init__(self, measurements: Measurements) -> None:
        self.measurements = measurements
        kinds = ("collisions_compensated", "collisions_disambiguated", "collisions_costly")
        measurements.tags |= {name: f"collisions/{name}" for name in kinds}
        measurements.tags |= {"rotation_gap": "basis/rotation_gap"}
        measurements.whole |= {*kinds, "disambiguation_neuron"}

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
        """The costly columns for each instance, on the CPU; nan where they do not apply."""
        columns = _same_sign(module) | {"rotation_gap": rotation_gap(module)}
        return {name: values.double().cpu() for name, values in columns.items()}


def _missing(module: Any) -> dict[str, Tensor]:
    nothing = torch.full((len(module.networks.W_enc),), torch.nan, dtype=torch.float64)
    names = ("compensated", "disambiguated", "costly")
    return {f"collisions_{name}": nothing for name in names} | {
        "disambiguation_neuron": nothing,
        "rotation_gap": nothing,
    }


def _same_sign(module: Any) -> dict[str, Tensor]:
    """What became of same-sign collisions, and which neuron disambiguates."""
    weights, data = module.networks.weights, module.data
    few = torch.stack(collision_counts(weights.W_enc, weights.W_dec)).sum(0) <= _COLLISIONS
    usable = few & all_finite(weights.W_enc, weights.W_dec, weights.b_dec)
    networks = without(module.networks, ~usable)
    batches = [data.evaluation_inputs(batch).to(weights.W_enc.dtype) for batch in data.val_dataloader()]
    x = torch.cat(batches, 1)

    def reconstruct(twin: Autoencoder) -> Tensor:
        return torch.cat([twin(part)[1] for part in batches], 1)

    cooccurrence = data.cooccurrence()
    counts = _kinds(*matrices(networks), x, reconstruct(networks), cooccurrence)
    columns = {f"collisions_{name}": count for name, count in counts.items()}
    columns["disambiguation_neuron"] = torch.full_like(counts["costly"], torch.nan)
    if data.partition is not None:
        found = disambiguation_by_ablation(
            lambda W_enc, W_dec: reconstruct(networks.with_weights(W_enc, W_dec)),
            x,
            *matrices(networks),
            data.partition,
            cooccurrence,
        )
        columns["disambiguation_neuron"] = found.neuron.double().masked_fill(found.neuron < 0, torch.nan)
    return {name: values.where(usable, torch.nan) for name, values in columns.items()}


def _kinds(
    W_enc: Tensor, W_dec: Tensor, x: Tensor, x_hat: Tensor, cooccurrence: Tensor
) -> dict[str, Float64[Tensor, " instance"]]:
    n_instances, n_inputs, n_features = x.shape
    block = max(1, _AT_ONCE // (max(n_inputs, n_features) * n_features))
    parts: list[dict[str, Tensor]] = []
    for at in range(0, n_instances, block):
        enc, dec = W_enc[at : at + block], W_dec[at : at + block]
        w_dec = None if W_dec is W_enc else dec
        cost = interference_cost(*interference_sums(x[at : at + block], x_hat[at : at + block]))
        collisions = find_collisions(enc, w_dec)
        excess = excess_cost(cost, shares_neuron(enc if w_dec is None else effective_weight(enc, w_dec)))
        kinds = classify_same_sign(collisions, enc, dec, excess, cooccurrence[at : at + block])
        parts.append(same_sign_counts(collisions, kinds, len(enc))._asdict())
    return {name: torch.cat([part[name] for part in parts]).double() for name in parts[0]}
