from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from polysemantic.functional.collisions.find_collisions import Collisions, find_collisions
from polysemantic.functional.collisions.interference_cost import excess_cost, interference_cost, shares_neuron
from polysemantic.functional.common.effective_weight import effective_weight


class PricedCollisions(NamedTuple):
    """The collisions of some networks, and what every pair of features costs in them."""

    collisions: Collisions
    cost: Float[Tensor, "instance feature feature"]
    excess: Float[Tensor, "instance feature feature"]


def price_collisions(
    W_enc: Float[Tensor, "instance feature hidden"],
    W_dec: Float[Tensor, "instance feature hidden"],
    numerator: Float[Tensor, "instance feature feature"],
    denominator: Float[Tensor, "instance feature feature"],
) -> PricedCollisions:
    """Collisions with the interference cost of every pair and its excess over pairs that share no neuron.

    Args:
        W_enc: Encoder.
        W_dec: Decoder; tied: `W_enc` itself.
        numerator: Summed squared errors from `interference_sums`.
        denominator: Summed squared inputs from `interference_sums`.

    Returns:
        The collisions, in the order of `find_collisions`, and two symmetric matrices.

    Example:
        >>> from polysemantic.functional import interference_sums, price_collisions
        >>> W, x = torch.tensor([[[1.0], [1.0], [0.0], [0.0]]]), torch.eye(4)[None]
        >>> collisions, cost, excess = price_collisions(W, W, *interference_sums(x, x @ W @ W.mT))
        >>> cost[0, 0, 1].item(), excess[0, 0, 1].item()
        (1.0, 0.5)
    """
    w_dec = None if W_dec is W_enc else W_dec
    cost = interference_cost(numerator, denominator)
    excess = excess_cost(cost, shares_neuron(effective_weight(W_enc, w_dec)))
    return PricedCollisions(find_collisions(W_enc, w_dec), cost, excess)


def mean_over_collisions(
    values: Float[Tensor, "instance feature feature"],
    collisions: Collisions,
    chosen: Bool[Tensor, " collision"] | None = None,
) -> Float64[Tensor, " instance"]:
    """Mean of what pairs of features have over the collisions of each instance.

    A pair that shares two neurons counts twice, one without a value not at all.

    Args:
        values: A number for every pair of features, such as its excess cost.
        collisions: From `find_collisions`.
        chosen: Those that count; None for all.

    Returns:
        One mean per instance; nan without any such collision.

    Example:
        >>> from polysemantic.functional import find_collisions, mean_over_collisions
        >>> collisions = find_collisions(torch.tensor([[[1.0], [1.0], [-1.0]]]))
        >>> mean_over_collisions(torch.tensor([[[0.0, 1.0, 2.0], [1.0, 0.0, 6.0], [2.0, 6.0, 0.0]]]), collisions).item()
        3.0
    """
    found = values[collisions.instance, collisions.feature_i, collisions.feature_j].double()
    counted = ~found.isnan() if chosen is None else ~found.isnan() & chosen
    # A GPU would add in another order each time.
    instance, found = collisions.instance[counted].cpu(), found[counted].cpu()
    total = found.new_zeros(len(values)).index_add(0, instance, found)
    return (total / torch.bincount(instance, minlength=len(values))).to(values.device)
