"""Measurements that take as long as many optimiser steps."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float64
from torch import Tensor

from polysemantic.callbacks.networks import evaluation_blocks, gathered, matrices, without
from polysemantic.callbacks.rotation_gap import rotation_gap
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
from polysemantic.results.columns import COSTLY
from polysemantic.training.allocator import trim_heap
from polysemantic.training.module import EnsembleModule

# Collisions of one instance beyond which they are not told apart: an untrained dense network has millions.
_COLLISIONS = 100_000


@torch.no_grad()
def measure_costly(module: EnsembleModule, partition: Tensor | None) -> dict[str, Float64[Tensor, " instance"]]:
    """The rotation gap and what collisions cost, for each instance of the run, on the CPU; nan where they do not apply.

    A rotation gap without closed form takes 32 evaluations of the objective or more, and telling collisions apart the
    interference cost of every pair of features: together some ten optimiser steps or more.

    Args:
        module: The networks, and their inputs.
        partition: +1 or -1 for each feature, the two parts that a neuron may tell apart; None if there are none.
    """
    trim_heap()  # The measurements before left pieces of other sizes.
    columns = _pairs(module, partition) | {"rotation_gap": rotation_gap(module)}
    return gathered({name: columns[name].double().cpu() for name in COSTLY}, module.shard)


def _pairs(module: EnsembleModule, partition: Tensor | None) -> dict[str, Tensor]:
    """What collisions cost, what became of same-sign ones, and which neuron disambiguates."""
    networks, data = module.networks, module.data
    by_block = []
    for block in evaluation_blocks(networks, data.evaluation_size):
        inputs = [module.evaluation_inputs(batch, block) for batch in data.val_dataloader()]
        by_block.append(_pairs_of(networks.subset(block), inputs, data.joint()[block], partition))
    return {name: torch.cat([columns[name] for columns in by_block]) for name in by_block[0]}


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
