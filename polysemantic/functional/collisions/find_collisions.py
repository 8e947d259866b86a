from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from polysemantic.functional.carrying.carried import carried
from polysemantic.functional.common.effective_weight import effective_weight


class Collisions(NamedTuple):
    """Pairs of features on one neuron, one entry a pair, sorted by (instance, neuron, feature_i, feature_j)."""

    instance: Int[Tensor, " collision"]
    neuron: Int[Tensor, " collision"]
    feature_i: Int[Tensor, " collision"]
    feature_j: Int[Tensor, " collision"]
    opposite_sign: Bool[Tensor, " collision"]


def find_collisions(
    W_enc: Float[Tensor, "instance feature hidden"],
    W_dec: Float[Tensor, "instance feature hidden"] | None = None,
    threshold: float = 0.5,
) -> Collisions:
    r"""Every pair of features i < j that one neuron k carries, :math:`|w_{ik}|, |w_{jk}| \ge \theta`.

    A collision has opposite signs (the paper's benign one: free while the two never co-occur) when
    :math:`e_{ik} d_{jk} < 0` and :math:`e_{jk} d_{ik} < 0`. A carried weight has the same sign in encoder and decoder,
    so both say that :math:`w_{ik} w_{jk} < 0`, which cannot underflow.

    Time and memory go with the weights and the collisions found, never with n_features^2 * n_hidden.

    Args:
        W_enc: Encoders, one row per feature.
        W_dec: Decoders; `None` if tied.
        threshold: Smallest effective magnitude that counts as carried.

    Returns:
        Index tensors of equal length, empty when every neuron is monosemantic or dead.

    Example:
        >>> found = find_collisions(torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]]))
        >>> [values.tolist() for values in found]
        [[0], [0], [0], [1], [True]]
    """
    w = effective_weight(W_enc, W_dec)
    instance, neuron, feature = carried(w, threshold).mT.nonzero().unbind(-1)
    positive = w[instance, feature, neuron] > 0
    _, size = torch.unique_consecutive(instance * w.shape[-1] + neuron, return_counts=True)
    # `nonzero` is in lexicographic order: the entries of one neuron are neighbours, and each pairs with those after it.
    entry = torch.arange(len(feature), device=w.device)
    later = size.cumsum(0).repeat_interleave(size) - 1 - entry
    first = entry.repeat_interleave(later)
    offset = torch.arange(len(first), device=w.device) - (later.cumsum(0) - later)[first]
    second = first + 1 + offset
    return Collisions(
        instance[first], neuron[first], feature[first], feature[second], positive[first] != positive[second]
    )
