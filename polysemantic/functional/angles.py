import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from polysemantic.functional.gram import gram
from polysemantic.functional.sharing import shared


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
    cosine = _cosines(W_enc)
    # Cosines decide as angles would: there are n^2 of them, and an arc cosine is dear.
    acute = cosine > math.sin(math.radians(tolerance))
    return acute.sum((-2, -1)).double() / (cosine > -torch.inf).sum((-2, -1))


@shared
def _cosines(W: Float[Tensor, "*instance feature hidden"]) -> Float64[Tensor, "*instance feature feature"]:
    """Cosines of all pairs of rows; -inf for a row and itself, and with a row that has no direction."""
    products = gram(W)
    norm = products.diagonal(dim1=-2, dim2=-1).sqrt()
    inverse = torch.where(norm > 0, 1 / norm, 0)
    cosine = products * inverse.unsqueeze(-1)
    cosine *= inverse.unsqueeze(-2)
    directed = norm > 0
    pair = directed.unsqueeze(-1) & directed.unsqueeze(-2)
    pair.diagonal(dim1=-2, dim2=-1).fill_(False)
    return cosine.masked_fill_(~pair, -torch.inf)
