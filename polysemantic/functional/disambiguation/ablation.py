from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Tensor

from polysemantic.functional.collisions.find_collisions import Collisions
from polysemantic.functional.collisions.interference_cost import interference_cost, interference_sums
from polysemantic.functional.collisions.priced_collisions import mean_over_collisions, price_collisions
from polysemantic.functional.collisions.same_sign_kinds import SameSignKinds, classify_same_sign
from polysemantic.functional.disambiguation.partition_energy import partition_energies


class SameSignCounts(NamedTuple):
    """Number of same-sign collisions of each kind."""

    compensated: Int64[Tensor, " instance"]
    disambiguated: Int64[Tensor, " instance"]
    costly: Int64[Tensor, " instance"]


class Disambiguation(NamedTuple):
    """The neuron that disambiguates, and what its removal costs."""

    neuron: Int64[Tensor, " instance"]  # -1 where none is confirmed
    energy: Float[Tensor, " instance"]
    rise: Float64[Tensor, " instance"]  # mean over disambiguated pairs, nan without any


def same_sign_counts(collisions: Collisions, kinds: SameSignKinds, n_instances: int) -> SameSignCounts:
    """Same-sign collisions of each instance by what became of them.

    Args:
        collisions: From `find_collisions`.
        kinds: From `classify_same_sign`.
        n_instances: Number of instances.

    Returns:
        Three counts per instance, which add up to its same-sign collisions.

    Example:
        >>> from polysemantic.functional import classify_same_sign, find_collisions, same_sign_counts
        >>> W = torch.tensor([[[1.0], [1.0]]])
        >>> collisions, excess, never = find_collisions(W), torch.full((1, 2, 2), 0.4), torch.eye(2)[None] / 2
        >>> same_sign_counts(collisions, classify_same_sign(collisions, W, W, excess, never), 1).costly
        tensor([1])
    """
    return SameSignCounts(*(torch.bincount(collisions.instance[kind], minlength=n_instances) for kind in kinds))


def disambiguation_by_ablation(
    reconstruct: Callable[[Tensor, Tensor], Float[Tensor, "instance batch feature"]],
    x: Float[Tensor, "instance batch feature"],
    W_enc: Float[Tensor, "instance feature hidden"],
    W_dec: Float[Tensor, "instance feature hidden"],
    signs: Shaped[Tensor, " feature"],
    cooccurrence: Float[Tensor, "instance feature feature"],
    *,
    min_energy: float = 1.5,
    min_rise: float = 0.05,
) -> Disambiguation:
    r"""The neuron that tells the two parts of a partition apart, confirmed by removing it.

    The candidate is the neuron of largest partition energy, if that is at least `min_energy`. It is confirmed if the
    interference cost of the pairs that are disambiguated (`classify_same_sign`) rises without it by `min_rise` or more
    in the mean. In the constructed solution the cost rises from 0 to 1/2.

    Args:
        reconstruct: Outputs for `x` of an encoder and a decoder, all else being the network's.
        x: Inputs.
        W_enc: Encoder.
        W_dec: Decoder; tied: `W_enc` itself.
        signs: +1 for the features of one part, -1 for those of the other.
        cooccurrence: P(i and j on), its diagonal P(i on).
        min_energy: Least partition energy of a candidate.
        min_rise: Least rise that confirms it.

    Returns:
        For each instance the confirmed neuron, or -1, and of the neuron of largest energy the energy and the rise.

    Raises:
        ValueError: If the shapes of `W_enc` and `W_dec` differ, or `signs` holds anything but +1 and -1.

    Example:
        >>> from polysemantic.functional import disambiguation_by_ablation
        >>> W, x = torch.eye(2)[None], torch.eye(2)[None]
        >>> signs = torch.tensor([1, -1])
        >>> disambiguation_by_ablation(lambda enc, dec: x @ enc @ dec.mT, x, W, W, signs, x / 2).neuron
        tensor([-1])
    """
    energy, neuron = partition_energies(W_enc, W_dec, signs).max(-1)
    priced = price_collisions(W_enc, W_dec, *interference_sums(x, reconstruct(W_enc, W_dec)))
    kinds = classify_same_sign(priced.collisions, W_enc, W_dec, priced.excess, cooccurrence)
    cost = interference_cost(*interference_sums(x, reconstruct(*ablate(W_enc, W_dec, neuron))))
    rise = mean_over_collisions(cost - priced.cost, priced.collisions, kinds.disambiguated)
    confirmed = (energy >= min_energy) & (rise >= min_rise)
    return Disambiguation(torch.where(confirmed, neuron, -1), energy, rise)


def ablate(
    W_enc: Float[Tensor, "instance feature hidden"],
    W_dec: Float[Tensor, "instance feature hidden"],
    neuron: Int64[Tensor, " instance"],
) -> tuple[Float[Tensor, "instance feature hidden"], Float[Tensor, "instance feature hidden"]]:
    """The network without one neuron per instance, its weights set to zero in encoder and decoder.

    Args:
        W_enc: Encoder.
        W_dec: Decoder; tied: `W_enc` again.
        neuron: Index of the neuron to remove from each instance.

    Returns:
        Encoder and decoder, both copies; one and the same tensor if they were before.

    Raises:
        ValueError: If `neuron` has an index outside [0, n_hidden).

    Example:
        >>> from polysemantic.functional import ablate
        >>> W = torch.ones(1, 2, 2)
        >>> ablate(W, W, torch.tensor([1]))[0]
        tensor([[[1., 0.],
                 [1., 0.]]])
    """
    n_hidden = W_enc.shape[-1]
    if ((neuron < 0) | (neuron >= n_hidden)).any():
        raise ValueError(f"`neuron` must lie in [0, {n_hidden}), got {neuron.tolist()}.")
    gone = torch.arange(n_hidden, device=neuron.device) == neuron[:, None, None]
    ablated = W_enc.masked_fill(gone, 0)
    return ablated, ablated if W_dec is W_enc else W_dec.masked_fill(gone, 0)
