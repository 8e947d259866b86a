from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from polysemantic.functional.common.effective_weight import effective_weight


class ThresholdSweep(NamedTuple):
    """Counts as functions of the threshold they hang on."""

    thresholds: Float[Tensor, " threshold"]
    polysemantic_neurons: Int[Tensor, "*instance threshold"]
    coverage: Float[Tensor, "*instance threshold"]


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
