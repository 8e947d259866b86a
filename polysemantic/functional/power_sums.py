from typing import NamedTuple

from jaxtyping import Float, Float64
from torch import Tensor

from polysemantic.functional.sharing import shared
from polysemantic.functional.weights import in_double


class PowerSums(NamedTuple):
    """Sums of squares and of fourth powers along one axis."""

    second: Float64[Tensor, "*rest"]
    fourth: Float64[Tensor, "*rest"]


@shared
def power_sums(w: Float[Tensor, "*shape"], dim: int = -1) -> PowerSums:
    r"""Sums of squares and of fourth powers, :math:`\sum_k w_k^2` and :math:`\sum_k w_k^4`.

    Their ratio :math:`(\sum_k w_k^2)^2 / \sum_k w_k^4` counts the entries that matter: 1 of them, or all of k if equal.

    Args:
        w: Weights or activations.
        dim: Axis to sum over: -1 for the neurons of each feature, -2 for the features of each neuron.

    Returns:
        Two sums in float64, where fourth powers of float32 neither overflow nor vanish.

    Example:
        >>> second, fourth = power_sums(torch.tensor([1.0, 2.0]))
        >>> second.item(), fourth.item()
        (5.0, 17.0)
    """
    second, fourth = _powers(w)
    return PowerSums(second.sum(dim), fourth.sum(dim))


@shared
def _powers(w: Float[Tensor, "*shape"]) -> tuple[Tensor, Tensor]:
    squares = in_double(w).square()
    return squares, squares.square()
