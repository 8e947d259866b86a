from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from polysemantic.functional.common.cache_blocks import instance_blocks
from polysemantic.functional.common.effective_weight import effective_weight

# Weights looked at together: few enough that the temporaries of one look stay small.
_AT_ONCE = 2**21


class LargeWeights(NamedTuple):
    """The effective weights of at least some magnitude: all of a network that the lives of its collisions depend on."""

    shape: tuple[int, int, int]  # instances, features, neurons
    place: Int64[Tensor, " weight"]  # (instance * n_hidden + neuron) * n_features + feature, rising
    value: Float[Tensor, " weight"]
    finite: Bool[Tensor, " instance"]  # whether no weight of the instance is nan or infinite


def large_weights(
    W_enc: Float[Tensor, "instance feature hidden"],
    W_dec: Float[Tensor, "instance feature hidden"] | None = None,
    threshold: float = 0.3,
) -> LargeWeights:
    r"""Every effective weight with :math:`|w_{ik}| \ge \theta`, and where it is.

    The extremes of each neuron come first, and only neurons that reach the threshold are looked at again: late in
    training they are few, and one reading pass over the weights is nearly all the work.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        threshold: Smallest magnitude that is kept.

    Returns:
        The weights kept, in order of instance, neuron and feature.

    Raises:
        ValueError: If `threshold` is negative or nan.

    Example:
        >>> from polysemantic.functional import large_weights
        >>> found = large_weights(torch.tensor([[[1.0, 0.0], [-0.5, 0.4]]]))
        >>> found.place.tolist(), found.value.tolist()
        ([0, 1, 3], [1.0, -0.5, 0.4000000059604645])
    """
    if not threshold >= 0:
        raise ValueError(f"`threshold` must be at least 0, got {threshold}.")
    n_instances, n_features, n_hidden = W_enc.shape
    places, values, finite = [], [], []
    for block in instance_blocks(W_enc, n_features * n_hidden, _AT_ONCE):
        w = effective_weight(W_enc[block], None if W_dec is None else W_dec[block])
        # In one call, `aminmax` takes seven times as long.
        low, high = w.amin(1), w.amax(1)
        finite.append((low.isfinite() & high.isfinite()).all(-1))
        slot = (torch.maximum(high, -low) >= threshold).flatten().nonzero().squeeze(-1)
        column = w.mT[slot // n_hidden, slot % n_hidden]
        at, feature = (column.abs() >= threshold).nonzero(as_tuple=True)
        places.append((block.start * n_hidden + slot[at]) * n_features + feature)
        values.append(column[at, feature])
    return LargeWeights((n_instances, n_features, n_hidden), torch.cat(places), torch.cat(values), torch.cat(finite))


def collision_places(
    codes: Int64[Tensor, " collision"], n_features: int
) -> tuple[Int64[Tensor, " collision"], Int64[Tensor, " collision"]]:
    """Where the weights of both features of each collision are, as in `LargeWeights`.

    Args:
        codes: Codes from `live_collisions`.
        n_features: Number of features of the networks.

    Returns:
        Places of features i and of features j.

    Example:
        >>> from polysemantic.functional import collision_places
        >>> collision_places(torch.tensor([1]), n_features=3)
        (tensor([0]), tensor([1]))
    """
    slot = codes // n_features**2
    return codes // n_features, slot * n_features + codes % n_features


def collision_weights(
    large: LargeWeights, codes: Int64[Tensor, " collision"]
) -> tuple[Float[Tensor, " collision"], Float[Tensor, " collision"]]:
    """Effective weights of both features of each collision, 0 for a weight that is not among the large ones.

    Args:
        large: Weights of the networks.
        codes: Codes from `live_collisions`.

    Returns:
        Weights of features i and of features j.

    Example:
        >>> from polysemantic.functional import collision_weights, large_weights
        >>> collision_weights(large_weights(torch.tensor([[[1.0], [-0.5]]])), torch.tensor([1]))
        (tensor([1.]), tensor([-0.5000]))
    """
    i, j = collision_places(codes, large.shape[1])
    return _look_up(large, i), _look_up(large, j)


def _look_up(large: LargeWeights, place: Int64[Tensor, " collision"]) -> Float[Tensor, " collision"]:
    if len(large.place) == 0:
        return large.value.new_zeros(len(place))
    at = torch.searchsorted(large.place, place).clamp(max=len(large.place) - 1)
    return torch.where(large.place[at] == place, large.value[at], 0)
