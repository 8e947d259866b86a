"""Intervals of measurements, which end where the range of the measurement does."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.functional import mean_interval

COUNTS = (
    "polysemantic_neurons",
    "polysemantic_neurons_band",
    "collisions_opposite_sign",
    "collisions_same_sign",
    "collisions_compensated",
    "collisions_disambiguated",
    "collisions_costly",
    "collisions_born",
    "collisions_settled",
    "collisions_resolved",
)
"""Columns that count, from 0."""
SHARES = (
    "coverage",
    "represented",
    "feature_dimensionality",
    "share_angles_below_90",
    "winner_was_largest",
    "winner_kept_sign",
)
"""Columns that are shares, from 0 to 1."""

_FROM_ZERO = (
    *("loss", "reconstruction_error", "collision_cost", "fourth_norm", "mean_interference", "weighted_interference"),
    *("sparsity_count", "l1_norm"),
)
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys((*COUNTS, *_FROM_ZERO), (0, math.inf)),
    **dict.fromkeys(SHARES, (0, 1)),
    **dict.fromkeys(("carriers", "participation_ratio", "features_per_neuron"), (1, math.inf)),
    "min_angle": (0, 180),
    "privilege": (-math.inf, 1),
    "hidden_excess_kurtosis": (-2, math.inf),
}


class MeanEnds(NamedTuple):
    """A mean and the ends of its confidence interval."""

    mean: Float[Tensor, "*group"]
    low: Float[Tensor, "*group"]
    high: Float[Tensor, "*group"]


def interval_of(column: str, values: Float[Tensor, "*group value"]) -> MeanEnds:
    """Mean of a measurement over networks and the ends of its 95 % interval, within the measurement's range.

    Student's interval may reach below 0 collisions or above a share of 1, where no mean can lie: without that part it
    holds the true mean as often.

    Args:
        column: The measurement's name in the results; the range of an unknown one is the whole line.
        values: One network each, nan where undefined.

    Returns:
        Mean and ends in float64; the mean is nan without values, the ends with fewer than two.

    Example:
        >>> [end.item() for end in interval_of("polysemantic_neurons", torch.tensor([0.0, 0.0, 0.0]))]
        [0.0, 0.0, 0.0]
        >>> [round(end.item(), 2) for end in interval_of("polysemantic_neurons", torch.tensor([1.0, 0.0, 0.0]))]
        [0.33, 0.0, 1.77]
    """
    return intervals_of({column: values})[column]


def intervals_of(columns: dict[str, Float[Tensor, "*group value"]]) -> dict[str, MeanEnds]:
    """`interval_of` each column, all of one shape, in the time of one.

    Example:
        >>> intervals_of({"coverage": torch.tensor([0.5, 0.5]), "loss": torch.tensor([0.25, 0.25])})["loss"].mean.item()
        0.25
    """
    values = torch.stack(list(columns.values()))
    mean, half_width = mean_interval(values)
    ranges = torch.tensor([_RANGES.get(column, (-math.inf, math.inf)) for column in columns], dtype=torch.float64)
    ranges = ranges.view(-1, 2, *[1] * (mean.ndim - 1)).to(mean.device)
    least, most = ranges.unbind(1)
    low, high = mean - half_width, mean + half_width
    # The loss of a user's autoencoder may have another range than ours.
    low = low.where((values < least.unsqueeze(-1)).any(-1), low.maximum(least))
    high = high.where((values > most.unsqueeze(-1)).any(-1), high.minimum(most))
    return {column: MeanEnds(*ends) for column, *ends in zip(columns, mean, low, high, strict=True)}


def interval_text(mean: float, low: float, high: float, digits: int) -> str:
    """A mean with its interval, to some digits after the point: by its ends if it ends early on one side.

    Example:
        >>> interval_text(71.25, 68.85, 73.65, 1), interval_text(0.5, 0.0, 2.09, 2)
        ('71.2 ± 2.4', '0.50 [0, 2.09]')
    """
    down, up = mean - low, high - mean
    if math.isclose(down, up) or f"{down:.{digits}f}" == f"{up:.{digits}f}":
        return f"{mean:.{digits}f} ± {up:.{digits}f}"
    ends = (f"{end:.0f}" if end == round(end) else f"{end:.{digits}f}" for end in (low, high))
    return f"{mean:.{digits}f} [{', '.join(ends)}]"
