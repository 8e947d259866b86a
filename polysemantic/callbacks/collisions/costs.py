from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from polysemantic.callbacks.networks import evaluation_blocks
from polysemantic.functional import CollisionKey, decode_collisions, numbers_at_once, one_hot_pair_sums, pair_sums
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.training.module import EnsembleModule

Batches = Iterable[Float[Tensor, "instance batch feature"]]
Sums = Float64[Tensor, "2 pair"]
"""Squared error and squared input of each pair, summed over the inputs with exactly one of its two features on."""

# From this many multiplications of an instance's inputs with its encoder on, one call for each instance is quicker: it
# leaves out the inputs and outputs that no collision of the instance asks for.
_ONE_BY_ONE_FROM = 2**21
# Weights of pairs in one call where every input is one-hot.
_WEIGHTS_PER_CALL = 2**20


def interference_costs(
    module: EnsembleModule, codes: Int64[Tensor, " collision"], *, one_by_one: bool | None = None
) -> Float64[Tensor, " collision"]:
    """Interference cost of the two features of each collision, on the run's evaluation draws.

    Args:
        module: The ensemble.
        codes: Collisions, from `functional.live_collisions`.
        one_by_one: Whether to evaluate instances one by one; None for the quicker way. One-hot inputs and networks of
            the user's have one way each, so nothing is chosen there.

    Returns:
        One cost each, on the CPU; nan for two features of which no input has exactly one on.
    """
    networks, data = module.networks, module.data
    key = decode_collisions(codes.to(networks.W_enc.device), *networks.W_enc.shape[1:])
    if networks.is_standard and data.every_feature_once:
        sums = _one_hot_sums(networks, key)
    else:
        sums = torch.zeros(2, len(codes), dtype=torch.float64, device=networks.W_enc.device)
        if one_by_one is None:
            one_by_one = _one_by_one_is_quicker(networks, data.evaluation_rows)
        sums_of = _sums_one_by_one if one_by_one and networks.is_standard else _sums_together
        for instances in _instances_with_pairs(networks, data.evaluation_rows, key.instance):
            here = (key.instance >= instances.start) & (key.instance < instances.stop)
            pairs = (key.instance[here] - instances.start, key.feature_i[here], key.feature_j[here])
            batches = (module.evaluation_inputs(batch, instances) for batch in data.val_dataloader())
            sums[:, here] = sums_of(networks, instances, batches, *pairs)
    numerator, denominator = sums
    cost: Tensor = (numerator / denominator).cpu()
    return cost


def _one_hot_sums(networks: Autoencoder, key: CollisionKey) -> Sums:
    """Sums where every input is one-hot: the cost of a pair depends on the weights of its two features only."""
    pairs_per_call = max(1, numbers_at_once(networks.W_enc.device, _WEIGHTS_PER_CALL) // (4 * networks.W_enc.shape[2]))
    sums = [torch.zeros(2, 0, dtype=torch.float64, device=networks.W_enc.device)]
    chunks = (torch.split(index, pairs_per_call) for index in (key.instance, key.feature_i, key.feature_j))
    for instance, i, j in zip(*chunks, strict=True):
        pairs = networks.of_features(instance, torch.stack([i, j], 1))
        both = torch.eye(2).to(networks.W_enc).expand(len(instance), -1, -1)
        of = torch.arange(len(instance), device=i.device), torch.zeros_like(i), torch.ones_like(j)
        sums.append(torch.stack(one_hot_pair_sums(pairs(both)[1], *of)))
    return torch.cat(sums, 1)


def _instances_with_pairs(networks: Autoencoder, n_inputs: int, instance: Int64[Tensor, " pair"]) -> list[slice]:
    """Slices of consecutive instances that have a pair, each within one block of instances."""
    if not networks.is_standard:  # A network of the user's evaluates all instances or none.
        return [slice(0, len(networks.W_enc))]
    length = evaluation_blocks(networks, n_inputs)[0].stop
    runs: list[list[int]] = []
    for k in torch.unique(instance).tolist():
        if runs and k == runs[-1][-1] + 1 and k % length > 0:
            runs[-1].append(k)
        else:
            runs.append([k])
    return [slice(run[0], run[-1] + 1) for run in runs]


def _one_by_one_is_quicker(networks: Autoencoder, n_inputs: int) -> bool:
    # Only the shape of one instance decides, so that no cost depends on the other collisions that are measured.
    W = networks.W_enc
    return W.device.type == "cpu" and n_inputs * W[0].numel() >= _ONE_BY_ONE_FROM


def _sums_together(
    networks: Autoencoder, instances: slice, batches: Batches, instance: Tensor, i: Tensor, j: Tensor
) -> Sums:
    some = networks.subset(instances)
    return torch.stack([torch.stack(pair_sums(x, some(x)[1], instance, i, j)) for x in batches]).sum(0)


def _sums_one_by_one(
    networks: Autoencoder, instances: slice, batches: Batches, instance: Tensor, i: Tensor, j: Tensor
) -> Sums:
    x, sums = torch.cat([*batches], 1), torch.zeros(2, len(instance), dtype=torch.float64, device=i.device)
    for k in torch.unique(instance).tolist():
        here, one = instance == k, slice(instances.start + k, instances.start + k + 1)
        sums[:, here] = _sums_of_instance(networks.subset(one), x[k], i[here], j[here])
    return sums


def _sums_of_instance(network: Autoencoder, x: Float[Tensor, "batch feature"], i: Tensor, j: Tensor) -> Sums:
    """Sums from the inputs with exactly one feature of some pair on, and from the outputs of the pairs' features."""
    features, places = torch.unique(torch.cat([i, j]), return_inverse=True)
    i, j = places.chunk(2)
    inputs = x.index_select(1, features)
    alone = (inputs > 0).index_select(1, i) ^ (inputs > 0).index_select(1, j)
    rows = alone.any(1).nonzero().squeeze(-1)
    inputs, alone = inputs[rows].double(), alone[rows]
    outputs = network.decode(network.encode(x[rows].unsqueeze(0)), features)[0].double()
    squares = torch.stack([(outputs - inputs).square_(), inputs.square()])
    return ((squares[:, :, i] + squares[:, :, j]) * alone).sum(1)
