import math

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from polysemantic.functional.common.count import count
from polysemantic.functional.common.gram import gram
from polysemantic.functional.common.memoisation import shared


def min_angle(W_enc: Float[Tensor, "*instance feature hidden"]) -> Float[Tensor, "*instance"]:
    r"""Smallest angle between two encodings, :math:`\min_{i<j} \arccos(\hat e_i \cdot \hat e_j)`, in degrees.

    0 when two features have one direction, 90 when all are orthogonal, 180 for an antipodal pair alone.

    Args:
        W_enc: Encoder, one row per feature.

    Returns:
        One angle per instance, in float64; nan without two rows that have a direction.

    Example:
        >>> round(min_angle(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])).item(), 6)
        45.0
    """
    largest = _cosines(W_enc).amax((-2, -1))
    return torch.where(largest > -torch.inf, largest.clamp(-1, 1).acos().rad2deg(), torch.nan)


def share_angles_below_90(
    W_enc: Float[Tensor, "*instance feature hidden"], tolerance: float = 1.0
) -> Float[Tensor, "*instance"]:
    r"""Share of pairs of encodings at an acute angle, below :math:`90 - \mathrm{tolerance}` degrees.

    Behind a ReLU such pairs interfere even when only one of the two is on. 0 when all are orthogonal or beyond, about
    1/2 for random directions in few dimensions, 1 when all share an orthant.

    Args:
        W_enc: Encoder, one row per feature.
        tolerance: Degrees by which an angle must fall short of 90 to count, since trained angles jitter around it.

    Returns:
        One share per instance, in float64; nan without two rows that have a direction.

    Raises:
        ValueError: If `tolerance` lies outside [0, 90).

    Example:
        >>> share_angles_below_90(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.6, 0.8]])).item()
        0.3333333333333333
    """
    if not 0 <= tolerance < 90:
        raise ValueError(f"`tolerance` must lie in [0, 90), got {tolerance}.")
    # Cosines decide as angles would, and there are too many for an arc cosine of each.
    acute = count(_cosines(W_enc) > math.sin(math.radians(tolerance)), -2).sum(-1)
    n_directed = _directed(W_enc).sum(-1)
    return acute.double() / (n_directed * (n_directed - 1))


@shared
def _cosines(W: Float[Tensor, "*instance feature hidden"]) -> Float64[Tensor, "*instance feature feature"]:
    """Cosines of all pairs of rows; -inf for a row and itself, and with a row that has no direction."""
    products = gram(W)
    norm = products.diagonal(dim1=-2, dim2=-1).sqrt()
    cosine = products / norm.unsqueeze(-1)
    cosine /= norm.unsqueeze(-2)
    cosine.diagonal(dim1=-2, dim2=-1).fill_(-torch.inf)
    without = ~_directed(W)
    cosine[without] = -torch.inf
    cosine.mT[without] = -torch.inf
    return cosine


def _directed(W: Float[Tensor, "*instance feature hidden"]) -> Bool[Tensor, "*instance feature"]:
    return gram(W).diagonal(dim1=-2, dim2=-1) > 0
