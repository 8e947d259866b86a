from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from polysemantic.functional.collisions.find_collisions import Collisions


class SameSignKinds(NamedTuple):
    """What became of each same-sign collision: exactly one of the three, none for an opposite-sign collision."""

    compensated: Bool[Tensor, " collision"]
    disambiguated: Bool[Tensor, " collision"]
    costly: Bool[Tensor, " collision"]


def _is_compensated(
    collisions: Collisions,
    W_enc: Float[Tensor, "instance feature hidden"],
    W_dec: Float[Tensor, "instance feature hidden"],
    share: float,
) -> Bool[Tensor, " collision"]:
    instance, k, i, j = collisions.instance, collisions.neuron, collisions.feature_i, collisions.feature_j
    overlap = W_enc @ W_dec.mT
    i_to_j = overlap[instance, i, j] < share * W_enc[instance, i, k] * W_dec[instance, j, k]
    j_to_i = overlap[instance, j, i] < share * W_enc[instance, j, k] * W_dec[instance, i, k]
    return i_to_j & j_to_i


def classify_same_sign(
    collisions: Collisions,
    W_enc: Float[Tensor, "instance feature hidden"],
    W_dec: Float[Tensor, "instance feature hidden"],
    excess: Float[Tensor, "instance feature feature"],
    cooccurrence: Float[Tensor, "instance feature feature"],
    *,
    compensation: float = 0.25,
    max_excess: float = 0.05,
) -> SameSignKinds:
    r"""Same-sign collisions as compensated, disambiguated or costly.

    With :math:`o_{ij} = W^{enc}_i \cdot W^{dec}_j` and :math:`p_{ij} = W^{enc}_{ik} W^{dec}_{jk}` on the shared
    neuron k, a collision is

    - *compensated* if :math:`o_{ij} < p_{ij}/4` and :math:`o_{ji} < p_{ji}/4`: other neurons cancel what k leaks;
    - *disambiguated* if not compensated, its excess cost is below 0.05, and exactly one of the two is on with
      positive probability: the leak is there, yet the output is right, so something else tells the two apart;
    - *costly* otherwise.

    The leak runs both ways, from i into the output of j and back. Untied weights can cancel one direction alone;
    then the other still costs, so both must be cancelled. A pair never observed with exactly one on has no excess
    cost (nan) and counts as costly: nothing shows that the network could tell the two apart.

    Args:
        collisions: Collisions to classify.
        W_enc: Encoder.
        W_dec: Decoder; tied: `W_enc` again.
        excess: Excess cost of every pair of features.
        cooccurrence: P(i and j on), its diagonal P(i on).
        compensation: Share of the product on k below which the overlap counts as cancelled.
        max_excess: Excess cost below which a pair is told apart.

    Returns:
        Three masks over the collisions, false at the opposite-sign ones.

    Raises:
        ValueError: If the shapes of `W_enc` and `W_dec` differ.

    Example:
        >>> from polysemantic.functional import classify_same_sign, find_collisions
        >>> W = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, -1.0]]])
        >>> excess = torch.full((2, 2, 2), 0.4)
        >>> cooccurrence = 0.1 * torch.eye(2).expand(2, 2, 2)
        >>> kinds = classify_same_sign(find_collisions(W), W, W, excess, cooccurrence)
        >>> kinds.compensated.tolist(), kinds.costly.tolist()
        ([False, True, False], [True, False, False])
    """
    if W_enc.shape != W_dec.shape:
        raise ValueError(f"`W_dec` must have the shape of `W_enc`, {tuple(W_enc.shape)}, got {tuple(W_dec.shape)}.")
    instance, i, j = collisions.instance, collisions.feature_i, collisions.feature_j
    same_sign = ~collisions.opposite_sign
    compensated = same_sign & _is_compensated(collisions, W_enc, W_dec, compensation)
    exactly_one_on = cooccurrence[instance, i, i] + cooccurrence[instance, j, j] - 2 * cooccurrence[instance, i, j]
    told_apart = (excess[instance, i, j] < max_excess) & (exactly_one_on > 0)
    disambiguated = same_sign & ~compensated & told_apart
    return SameSignKinds(compensated, disambiguated, same_sign & ~compensated & ~told_apart)
