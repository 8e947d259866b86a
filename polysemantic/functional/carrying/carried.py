from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from polysemantic.functional.carrying.strongest import strongest
from polysemantic.functional.common.count import count
from polysemantic.functional.common.effective_weight import magnitude
from polysemantic.functional.common.memoisation import shared

# Share of neurons up to which looking at these alone is worth finding them.
_FEW = 0.25


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
    check_threshold(threshold)
    return magnitude(w) >= threshold


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
    check_threshold(threshold)
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
    check_threshold(threshold)
    return CarriedSigns(*count_by_neuron(w, threshold, lambda w: w >= threshold, lambda w: w <= -threshold))


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


@shared
def _largest(w: Float[Tensor, "*instance feature hidden"]) -> Float[Tensor, "*instance hidden"]:
    """Each neuron's largest weight in magnitude; nan where one is."""
    return magnitude(w).amax(-2)


def count_by_neuron(
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


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that dead weights would pass.

    Raises:
        ValueError: If `threshold` is not positive.
    """
    if not threshold > 0:
        raise ValueError(f"`threshold` must be positive, got {threshold}.")
