from typing import NamedTuple

import torch
from jaxtyping import Bool, Int64
from torch import Tensor


class CollisionKey(NamedTuple):
    """Where each collision is: features i < j meet on a neuron of an instance."""

    instance: Int64[Tensor, " collision"]
    neuron: Int64[Tensor, " collision"]
    feature_i: Int64[Tensor, " collision"]
    feature_j: Int64[Tensor, " collision"]


def live_collisions(on: Bool[Tensor, "instance feature hidden"]) -> Int64[Tensor, " collision"]:
    r"""Codes of all pairs of features i < j that are on at one neuron.

    The code is :math:`((\mathrm{instance} \cdot m + \mathrm{neuron}) \cdot n + i) \cdot n + j`, which
    `decode_collisions` reads.
    Work and memory grow with the collisions found and one pass over the mask, not with all possible pairs.

    Args:
        on: Weights that are on.

    Returns:
        Sorted, unique codes; empty if every neuron is monosemantic.

    Example:
        >>> from polysemantic.functional import live_collisions
        >>> live_collisions(torch.tensor([[[True, False], [True, True], [True, False]]]))
        tensor([1, 2, 5])
    """
    return codes_of_pairs(on.mT.flatten().nonzero().squeeze(-1), on.shape[1])


def codes_of_pairs(place: Int64[Tensor, " weight"], n_features: int) -> Int64[Tensor, " collision"]:
    """Codes of all pairs of weights at one neuron, from the sorted places of the weights that are on."""
    slot, feature = place // n_features, place % n_features
    # Each weight pairs with those after it at its neuron; they come in order of neuron, then feature.
    position = torch.arange(len(place), device=place.device)
    partners = torch.searchsorted(slot, slot, right=True) - position - 1
    first = position.repeat_interleave(partners)
    rank_in_first = torch.arange(len(first), device=place.device) - (partners.cumsum(0) - partners)[first]
    return place[first] * n_features + feature[first + 1 + rank_in_first]


def count_pairs(place: Int64[Tensor, " weight"], shape: tuple[int, int, int]) -> Int64[Tensor, " instance"]:
    """Collisions of each instance among the weights that are on, without listing them."""
    n_instances, n_features, n_hidden = shape
    slot, size = torch.unique_consecutive(place // n_features, return_counts=True)
    return place.new_zeros(n_instances).index_add(0, slot // n_hidden, size * (size - 1) // 2)


def decode_collisions(codes: Int64[Tensor, " collision"], n_features: int, n_hidden: int) -> CollisionKey:
    """Instance, neuron and features of collision codes, the inverse of `live_collisions`.

    Args:
        codes: Codes from `live_collisions`.
        n_features: Number of features of the mask they came from.
        n_hidden: Number of its neurons.

    Returns:
        Four vectors of indices.

    Example:
        >>> from polysemantic.functional import decode_collisions
        >>> [index.item() for index in decode_collisions(torch.tensor([5]), n_features=3, n_hidden=2)]
        [0, 0, 1, 2]
    """
    slot, pair = codes // n_features**2, codes % n_features**2
    return CollisionKey(slot // n_hidden, slot % n_hidden, pair // n_features, pair % n_features)
