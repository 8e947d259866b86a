import torch
from jaxtyping import Float
from torch import Tensor


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
    cosine, pair = _cosines(W_enc)
    # The arc cosine of -inf is nan, which is what no pair at all should give.
    return cosine.masked_fill(~pair, -torch.inf).amax((-2, -1)).acos().rad2deg()


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
    cosine, pair = _cosines(W_enc)
    acute = pair & (cosine.acos().rad2deg() < 90 - tolerance)
    return acute.sum((-2, -1)).double() / pair.sum((-2, -1))


def _cosines(W_enc: Float[Tensor, "*instance feature hidden"]) -> tuple[Tensor, Tensor]:
    """Cosines of all pairs of rows, and which of them are pairs i < j of rows that have a direction."""
    W_enc = W_enc.double()
    norm = W_enc.norm(dim=-1, keepdim=True)
    unit = W_enc / norm
    has_direction = norm > 0
    pair = (has_direction & has_direction.mT).triu(1)
    return (unit @ unit.mT).clamp(-1, 1), pair
