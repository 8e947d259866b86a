from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from polysemantic.functional.shared.counting import count
from polysemantic.functional.shared.power_sums import power_sums
from polysemantic.functional.shared.sharing import shared
from polysemantic.functional.shared.weights import magnitude

# Share of neurons up to which looking at these alone is worth finding them.
_FEW = 0.25


class Strongest(NamedTuple):
    """The neuron on which each feature's effective weight is largest, and how large."""

    magnitude: Float[Tensor, "*instance feature"]
    neuron: Int64[Tensor, "*instance feature"]


class CarriedSigns(NamedTuple):
    """Number of features that each neuron carries with positive and with negative weight."""

    positive: Int64[Tensor, "*instance hidden"]
    negative: Int64[Tensor, "*instance hidden"]


def carried(
    w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5
) -> Bool[Tensor, "*instance feature hidden"]:
    r"""Which neuron carries which feature, :math:`|w_{ik}| \ge \theta`.

    Args:
        w: Effective weights, one row per feature.
        threshold: Smallest magnitude that counts.

    Returns:
        True where neuron k carries feature i: nowhere in a dead network or a code spread over many neurons.

    Raises:
        ValueError: If `threshold` is not positive.

    Example:
        >>> carried(torch.tensor([[1.0, 0.1], [-0.5, 0.0]]))
        tensor([[ True, False],
                [ True, False]])
    """
    _check_threshold(threshold)
    return magnitude(w) >= threshold


@shared
def strongest(w: Float[Tensor, "*instance feature hidden"]) -> Strongest:
    """Each feature's largest weight in magnitude, and the neuron that has it.

    Example:
        >>> magnitude, neuron = strongest(torch.tensor([[0.5, -1.0]]))
        >>> magnitude.item(), neuron.item()
        (1.0, 1)
    """
    sizes = magnitude(w)
    return Strongest(sizes.amax(-1), _argmax(sizes))


def _argmax(sizes: Float[Tensor, "*instance feature hidden"]) -> Int64[Tensor, "*instance feature"]:
    if sizes.device.type != "cpu" or sizes.dtype not in (torch.float32, torch.float64):
        return sizes.argmax(-1)
    # In main memory numpy takes a fifth of the time.
    return torch.from_numpy(np.asarray(sizes.detach().numpy().argmax(-1)))


def covered_features(
    w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5
) -> Bool[Tensor, "*instance feature"]:
    r"""Which features some neuron carries, :math:`\max_k |w_{ik}| \ge \theta`.

    Args:
        w: Effective weights, one row per feature.
        threshold: Smallest magnitude that counts as carried.

    Returns:
        True for covered features.

    Raises:
        ValueError: If `threshold` is not positive.

    Example:
        >>> covered_features(torch.tensor([[1.0, 0.1], [0.3, 0.3]]))
        tensor([ True, False])
    """
    _check_threshold(threshold)
    return strongest(w).magnitude >= threshold


@shared
def carried_signs(w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5) -> CarriedSigns:
    """Number of features that each neuron carries with either sign.

    Args:
        w: Effective weights, one row per feature.
        threshold: Smallest magnitude that counts as carried.

    Returns:
        Two counts per neuron.

    Raises:
        ValueError: If `threshold` is not positive.

    Example:
        >>> positive, negative = carried_signs(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.9, 1.0]]))
        >>> positive.tolist(), negative.tolist()
        ([2, 1], [1, 0])
    """
    _check_threshold(threshold)
    return CarriedSigns(*_per_neuron(w, threshold, lambda w: w >= threshold, lambda w: w <= -threshold))


def coverage(w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5) -> Float[Tensor, "*instance"]:
    r"""Share of features that some neuron carries, :math:`\frac{1}{n} \sum_i [\max_k |w_{ik}| \ge \theta]`.

    0 for a dead network, and for codes spread over many neurons (see `represented`); 1 when every feature has a neuron.

    Args:
        w: Effective weights, one row per feature.
        threshold: Smallest magnitude that counts as carried.

    Returns:
        One share per instance, in float64.

    Example:
        >>> coverage(torch.tensor([[1.0, 0.1], [0.3, 0.3]])).item()
        0.5
    """
    return covered_features(w, threshold).double().mean(-1)


def represented_features(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None = None,
    threshold: float = 0.5,
) -> Bool[Tensor, "*instance feature"]:
    r"""Which features the network gives back, :math:`e_i \cdot d_i \ge \theta`, on however many neurons.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        threshold: Smallest gain from a feature to its own output that counts.

    Returns:
        True for features whose own gain reaches the threshold: all once trained well, none in a dead network.

    Raises:
        ValueError: If `threshold` is not positive.

    Example:
        >>> represented_features(torch.tensor([[0.6, 0.6], [0.6, 0.0]]))
        tensor([ True, False])
    """
    _check_threshold(threshold)
    gain = power_sums(W_enc).second if W_dec is None else (W_enc * W_dec).sum(-1)
    return gain >= threshold


def represented(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None = None,
    threshold: float = 0.5,
) -> Float[Tensor, "*instance"]:
    r"""Share of features that the network gives back, :math:`\frac{1}{n} \sum_i [e_i \cdot d_i \ge \theta]`.

    0 for a dead network, 1 when every feature is reconstructed; unlike `coverage` it does not depend on the basis.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        threshold: Smallest gain from a feature to its own output that counts.

    Returns:
        One share per instance, in float64.

    Example:
        >>> represented(torch.tensor([[0.6, 0.6], [0.6, 0.0]])).item()
        0.5
    """
    return represented_features(W_enc, W_dec, threshold).double().mean(-1)


def carriers(w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5) -> Float[Tensor, "*instance"]:
    r"""Carrying neurons per covered feature, :math:`\sum_{ik} c_{ik} / \sum_i \max_k c_{ik}`, c from `carried`.

    1 when every covered feature has one neuron; above 1.1 it flags transients or blocks of neurons that share features,
    where counts of polysemantic neurons mislead.

    Args:
        w: Effective weights, one row per feature.
        threshold: Smallest magnitude that counts as carried.

    Returns:
        One mean per instance, in float64; nan where no feature is covered.

    Example:
        >>> carriers(torch.tensor([[0.7, 0.7], [1.0, 0.0], [0.1, 0.1]])).item()
        1.5
    """
    positive, negative = carried_signs(w, threshold)
    return (positive + negative).sum(-1).double() / covered_features(w, threshold).sum(-1)


def polysemantic_neurons(
    w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5
) -> Int64[Tensor, "*instance"]:
    r"""Number of neurons that carry two features or more, :math:`\#\{k : \sum_i c_{ik} \ge 2\}`, c from `carried`.

    0 when every neuron is monosemantic, dead or part of a spread-out code (show `coverage` beside it); n_hidden when
    every neuron is shared.

    Args:
        w: Effective weights, one row per feature.
        threshold: Smallest magnitude that counts as carried.

    Returns:
        One count per instance.

    Example:
        >>> polysemantic_neurons(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])).item()
        1
    """
    positive, negative = carried_signs(w, threshold)
    return (positive + negative >= 2).sum(-1)


def polysemantic_neurons_band(
    w: Float[Tensor, "*instance feature hidden"], low: float = 0.8, high: float = 1.2
) -> Int64[Tensor, "*instance"]:
    r"""The paper's count, :math:`\#\{k : \sum_i [l \le |w_{ik}| \le h] \ge 2\}`.

    For comparison with the paper only: it reads 0 on spread-out codes and misses weights that L1 shrank below the band.
    Source: arXiv:2312.03096, collisions figure.

    Args:
        w: Effective weights, one row per feature.
        low: Lower end of the band.
        high: Upper end of the band.

    Returns:
        One count per instance, from 0 to n_hidden.

    Raises:
        ValueError: If the band is empty or reaches down to 0.

    Example:
        >>> polysemantic_neurons_band(torch.tensor([[1.0, 1.0], [-0.9, 0.7]])).item()
        1
    """
    if not 0 < low <= high:
        raise ValueError(f"`low` must lie in (0, high = {high}], got {low}.")
    above, beyond = _per_neuron(w, low, lambda w: w.abs() >= low, lambda w: w.abs() > high)
    return (above - beyond >= 2).sum(-1)


@shared
def _largest(w: Float[Tensor, "*instance feature hidden"]) -> Float[Tensor, "*instance hidden"]:
    """Each neuron's largest weight in magnitude; nan where one is."""
    return magnitude(w).amax(-2)


def _per_neuron(
    w: Float[Tensor, "*instance feature hidden"], least: float, *tests: Callable[[Tensor], Bool[Tensor, "..."]]
) -> list[Int64[Tensor, "*instance hidden"]]:
    """How many weights of each neuron pass each test, which none does whose magnitude is below `least`."""
    reaches = ~(_largest(w) < least)
    # Late in training most neurons of a wide network carry nothing.
    if reaches.sum() > _FEW * reaches.numel():
        return [count(test(w), -2) for test in tests]
    columns = w.mT[reaches]
    counts = [torch.zeros_like(reaches, dtype=torch.int64) for _ in tests]
    for one, test in zip(counts, tests, strict=True):
        one[reaches] = test(columns).sum(-1)
    return counts


def _check_threshold(threshold: float) -> None:
    if not threshold > 0:
        raise ValueError(f"`threshold` must be positive, got {threshold}.")
