from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from polysemantic.functional.common.cache_blocks import numbers_at_once
from polysemantic.functional.common.memoisation import shared

# Entries raised to powers together, in float64: few enough for a core's own cache.
_AT_ONCE = 2**16


class PowerSums(NamedTuple):
    """Sums of squares and of fourth powers along one axis."""

    second: Float64[Tensor, "*rest"]
    fourth: Float64[Tensor, "*rest"]


@shared
def power_sums(w: Float[Tensor, "*instance row column"], dim: int = -1) -> PowerSums:
    r"""Sums of squares and of fourth powers, :math:`\sum_k w_k^2` and :math:`\sum_k w_k^4`.

    Their ratio :math:`(\sum_k w_k^2)^2 / \sum_k w_k^4` counts the entries that matter: 1 of them, or all of k if equal.

    Args:
        w: Weights or activations, one row for each feature or input.
        dim: Axis to sum over: -1 for the neurons of each feature, -2 for the features of each neuron.

    Returns:
        Two sums in float64, where fourth powers of float32 neither overflow nor vanish.

    Example:
        >>> second, fourth = power_sums(torch.tensor([[1.0, 2.0]]))
        >>> second.item(), fourth.item()
        (5.0, 17.0)
    """
    at_once = numbers_at_once(w.device, _AT_ONCE)
    slices = torch.split(w, max(1, at_once * w.shape[-2] // max(1, w.numel())), dim=-2)
    sums = [_of_slice(rows, dim) for rows in slices]
    if dim == -1:
        return PowerSums(*(torch.cat(of_slices, -1) for of_slices in zip(*sums, strict=True)))
    return PowerSums(*(sum(of_slices[1:], of_slices[0]) for of_slices in zip(*sums, strict=True)))


def _of_slice(w: Float[Tensor, "*instance row column"], dim: int) -> PowerSums:
    squares = w.double().square()
    return PowerSums(squares.sum(dim), squares.square().sum(dim))
