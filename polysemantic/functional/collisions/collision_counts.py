from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from polysemantic.functional.carrying.carried import carried_signs
from polysemantic.functional.common.effective_weight import effective_weight


class CollisionCounts(NamedTuple):
    """Number of collisions of either kind."""

    opposite_sign: Int[Tensor, "*instance"]
    same_sign: Int[Tensor, "*instance"]


def collision_counts(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None = None,
    threshold: float = 0.5,
) -> CollisionCounts:
    r"""Number of opposite-sign and same-sign collisions, :math:`\sum_k p_k q_k` and the other pairs of each neuron.

    p and q are the numbers of features that the neuron carries with positive and negative weight; see `find_collisions`
    for why signs of effective weights decide, tied or not. Both are 0 when every neuron is monosemantic or dead;
    they add up to at most n_hidden * n_features * (n_features - 1) / 2.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        threshold: Smallest effective magnitude that counts as carried.

    Returns:
        Two counts per instance.

    Example:
        >>> counts = collision_counts(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.9, 1.0]]))
        >>> counts.opposite_sign.item(), counts.same_sign.item()
        (2, 1)
    """
    positive, negative = carried_signs(effective_weight(W_enc, W_dec), threshold)
    same = positive * (positive - 1) + negative * (negative - 1)
    return CollisionCounts((positive * negative).sum(-1), same.sum(-1) // 2)
