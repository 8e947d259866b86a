from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from polysemantic.callbacks.networks import instance_blocks
from polysemantic.functional import CollisionKey, decode_collisions, numbers_at_once, one_hot_pair_sums, pair_sums
from polysemantic.model.autoencoder import Autoencoder

Batches = Iterable[Float[Tensor, "instance batch feature"]]
Sums = Float64[Tensor, "2 pair"]
"""Squared error and squared input of pairs, over inputs with exactly one of the two features on."""

# Multiplications of a batch with one instance's encoder from which on calls for it alone cost less than they leave out.
_LARGE = 2**21
# Weights of pairs that are looked at together.
_AT_ONCE = 2**20


def interference_costs(module: Any, codes: Int64[Tensor, " collision"]) -> Float64[Tensor, " collision"]:
    """Interference cost of the features of each collision on the run's evaluation draws.

    Args:
        module: The `EnsembleModule`.
        codes: Collisions, from `functional.live_collisions`.

    Returns:
        One cost each, on the CPU; nan for features that are never on without one another.
    """
    networks, data = module.networks, module.data
    key = decode_collisions(codes.to(networks.W_enc.device), *networks.W_enc.shape[1:])
    if networks.is_standard and data.every_feature_once:
        sums = _of_features_alone(networks, key)
    else:
        sums = torch.zeros(2, len(codes), dtype=torch.float64, device=networks.W_enc.device)
        of_batches = _of_each if _each_pays(networks, data.evaluation_rows) else _of_all
        for some in _together(networks, data.evaluation_rows, key.instance):
            here = (key.instance >= some.start) & (key.instance < some.stop)
            pairs = (key.instance[here] - some.start, key.feature_i[here], key.feature_j[here])
            batches = (module.evaluation_inputs(batch, some) for batch in data.val_dataloader())
            sums[:, here] = of_batches(networks, some, batches, *pairs)
    numerator, denominator = sums
    cost: Tensor = (numerator / denominator).cpu()
    return cost


def _of_features_alone(networks: Autoencoder, key: CollisionKey) -> Sums:
    """Where inputs are every feature once, the other features of a network have no part in it."""
    at_once = max(1, numbers_at_once(networks.W_enc.device, _AT_ONCE) // (4 * networks.W_enc.shape[2]))
    sums = [torch.zeros(2, 0, dtype=torch.float64, device=networks.W_enc.device)]
    for instance, i, j in zip(*(torch.split(index, at_once) for index in (key.instance, *key[2:])), strict=True):
        pairs = networks.of_features(instance, torch.stack([i, j], 1))
        both = torch.eye(2).to(networks.W_enc).expand(len(instance), -1, -1)
        of = torch.arange(len(instance), device=i.device), torch.zeros_like(i), torch.ones_like(j)
        sums.append(torch.stack(one_hot_pair_sums(pairs(both)[1], *of)))
    return torch.cat(sums, 1)


def _together(networks: Autoencoder, n_inputs: int, instance: Int64[Tensor, " pair"]) -> list[slice]:
    """Instances that have a pair, those that follow one another together."""
    if not networks.is_standard:  # of a user's, only all can be evaluated
        return [slice(0, len(networks.W_enc))]
    length = instance_blocks(networks, n_inputs)[0].stop
    runs: list[list[int]] = []
    for k in torch.unique(instance).tolist():
        if runs and k == runs[-1][-1] + 1 and k % length > 0:
            runs[-1].append(k)
        else:
            runs.append([k])
    return [slice(run[0], run[-1] + 1) for run in runs]


def _each_pays(networks: Autoencoder, n_inputs: int) -> bool:
    """Whether to take instances one by one. Sizes alone decide: no cost must depend on what is priced beside it."""
    W = networks.W_enc
    return networks.is_standard and W.device.type == "cpu" and n_inputs * W[0].numel() >= _LARGE


def _of_all(networks: Autoencoder, some: slice, batches: Batches, instance: Tensor, i: Tensor, j: Tensor) -> Sums:
    part = networks.subset(some)
    return torch.stack([torch.stack(pair_sums(x, part(x)[1], instance, i, j)) for x in batches]).sum(0)


def _of_each(networks: Autoencoder, some: slice, batches: Batches, instance: Tensor, i: Tensor, j: Tensor) -> Sums:
    x, sums = torch.cat([*batches], 1), torch.zeros(2, len(instance), dtype=torch.float64)
    for k in torch.unique(instance).tolist():
        here, one = instance == k, slice(some.start + k, some.start + k + 1)
        sums[:, here] = _of_one(networks.subset(one), x[k], i[here], j[here])
    return sums


def _of_one(network: Autoencoder, x: Float[Tensor, "batch feature"], i: Tensor, j: Tensor) -> Sums:
    """Only inputs with exactly one of a pair on count, and of their outputs only the two of the pair."""
    features, places = torch.unique(torch.cat([i, j]), return_inverse=True)
    i, j = places.chunk(2)
    inputs = x.index_select(1, features)
    alone = (inputs > 0).index_select(1, i) ^ (inputs > 0).index_select(1, j)
    rows = alone.any(1).nonzero().squeeze(-1)
    inputs, alone = inputs[rows].double(), alone[rows]
    outputs = network.decode(network.encode(x[rows].unsqueeze(0)), features)[0].double()
    squares = torch.stack([(outputs - inputs).square_(), inputs.square()])
    return ((squares[:, :, i] + squares[:, :, j]) * alone).sum(1)
