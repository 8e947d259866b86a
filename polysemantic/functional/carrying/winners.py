import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from polysemantic.functional.carrying.carried import covered_features
from polysemantic.functional.carrying.strongest import strongest
from polysemantic.functional.common.bit_flags import pack_flags, packed_flag


def winner_was_largest(
    w_start: Float[Tensor, "*instance feature hidden"],
    w_end: Float[Tensor, "*instance feature hidden"],
    threshold: float = 0.5,
) -> Float[Tensor, "*instance"]:
    r"""Share of final winners that led from the start, :math:`\arg\max_k |w^0_{ik}| = \arg\max_k |w_{ik}|`.

    Over the features carried at the end. 1 when initialisation decides every winner, about 1 / n_hidden when it says
    nothing.

    Args:
        w_start: Effective weights at initialisation, one row per feature.
        w_end: Effective weights at the end.
        threshold: Smallest final magnitude that counts as carried.

    Returns:
        One share per instance, in float64; nan where no feature is carried.

    Example:
        >>> start, end = torch.tensor([[0.2, 0.1], [0.1, 0.2]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> winner_was_largest(start, end).item()
        0.5
    """
    return winner_led(strongest(w_start).neuron, w_end, threshold)


def winner_kept_sign(
    w_start: Float[Tensor, "*instance feature hidden"],
    w_end: Float[Tensor, "*instance feature hidden"],
    threshold: float = 0.5,
) -> Float[Tensor, "*instance"]:
    r"""Share of final winners with the sign they began with, :math:`w^0_{ik} w_{ik} > 0` at the final winner k.

    Over the features carried at the end. 1 when no winner crossed zero, about 1/2 when initialisation says nothing.

    Args:
        w_start: Effective weights at initialisation, one row per feature.
        w_end: Effective weights at the end.
        threshold: Smallest final magnitude that counts as carried.

    Returns:
        One share per instance, in float64; nan where no feature is carried.

    Example:
        >>> start, end = torch.tensor([[0.2, 0.1], [0.1, 0.2]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> winner_kept_sign(start, end).item()
        0.5
    """
    return winner_had_sign(pack_signs(w_start), w_end, threshold)


def winner_led(
    led: Int64[Tensor, "*instance feature"], w_end: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5
) -> Float[Tensor, "*instance"]:
    """`winner_was_largest` of the neuron that led for each feature, all that it needs of the initial weights."""
    return _share(led == strongest(w_end).neuron, w_end, threshold)


def winner_had_sign(
    signs: UInt8[Tensor, "*instance feature octet"],
    w_end: Float[Tensor, "*instance feature hidden"],
    threshold: float = 0.5,
) -> Float[Tensor, "*instance"]:
    """`winner_kept_sign` of the signs (`pack_signs`), all that it needs of the initial weights."""
    winner = strongest(w_end).neuron.unsqueeze(-1)
    negative = w_end.gather(-1, winner) < 0
    return _share(packed_flag(signs, winner + negative * w_end.shape[-1]).squeeze(-1), w_end, threshold)


def pack_signs(w: Float[Tensor, "*instance feature hidden"]) -> UInt8[Tensor, "*instance feature octet"]:
    """Which weights of each feature are positive, and then which are negative, in bits (`pack_flags`).

    Example:
        >>> pack_signs(torch.tensor([[0.5, -1.0, 0.0]]))
        tensor([[17]], dtype=torch.uint8)
    """
    return pack_flags(torch.cat([w > 0, w < 0], -1))


def _share(
    holds: Bool[Tensor, "*instance feature"], w_end: Float[Tensor, "*instance feature hidden"], threshold: float
) -> Float[Tensor, "*instance"]:
    return torch.where(covered_features(w_end, threshold), holds.double(), torch.nan).nanmean(-1)
