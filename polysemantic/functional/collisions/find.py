from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from polysemantic.functional.carrying.carried import carried, carried_signs
from polysemantic.functional.shared.weights import effective_weight


class Collisions(NamedTuple):
    """Pairs of features on one neuron, one entry a pair, sorted by (instance, neuron, feature_i, feature_j)."""

    instance: Int[Tensor, " collision"]
    neuron: Int[Tensor, " collision"]
    feature_i: Int[Tensor, " collision"]
    feature_j: Int[Tensor, " collision"]
    opposite_sign: Bool[Tensor, " collision"]


class CollisionCounts(NamedTuple):
    """Number of collisions of either kind."""

    opposite_sign: Int[Tensor, "*instance"]
    same_sign: Int[Tensor, "*instance"]


class ThresholdSweep(NamedTuple):
    """Counts as functions of the threshold they hang on."""

    thresholds: Float[Tensor, " threshold"]
    polysemantic_neurons: Int[Tensor, "*instance threshold"]
    coverage: Float[Tensor, "*instance threshold"]


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


def threshold_sweep(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None = None,
    thresholds: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
) -> ThresholdSweep:
    r"""`polysemantic_neurons` and `coverage` at many thresholds at once.

    A neuron is polysemantic when its second largest :math:`|w_{ik}|` reaches the threshold, a feature covered when its
    largest does. Flat curves around 0.5 mean that the counts do not hang on the choice; steep ones a transient.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        thresholds: Magnitudes to count at.

    Returns:
        The thresholds, and a count and a share (float64) per instance and threshold.

    Raises:
        ValueError: If a threshold is not positive.

    Example:
        >>> sweep = threshold_sweep(torch.tensor([[1.0, 0.0], [-0.6, 0.0]]), thresholds=(0.5, 0.8))
        >>> sweep.polysemantic_neurons.tolist(), sweep.coverage.tolist()
        ([1, 0], [1.0, 0.5])
    """
    if not all(threshold > 0 for threshold in thresholds):
        raise ValueError(f"`thresholds` must be positive, got {tuple(thresholds)}.")
    magnitude = effective_weight(W_enc, W_dec).abs()
    levels = magnitude.new_tensor(thresholds)
    largest = magnitude.amax(-1)
    # A lone feature collides with nothing, and its second largest weight is none.
    second = magnitude.topk(2, dim=-2).values[..., 1, :] if magnitude.shape[-2] > 1 else largest.new_zeros(1)
    return ThresholdSweep(
        levels,
        (second.unsqueeze(-1) >= levels).sum(-2),
        (largest.unsqueeze(-1) >= levels).double().mean(-2),
    )
