"""Intervals of measurements, which end where the range of the measurement does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.functional import mean_interval
from polysemantic.results.columns import COLUMNS, Column, look_up


class MeanEnds(NamedTuple):
    """A mean and the ends of its confidence interval."""

    mean: Float[Tensor, "*group"]
    low: Float[Tensor, "*group"]
    high: Float[Tensor, "*group"]


def interval_of(column: str, values: Float[Tensor, "*group value"], known: Mapping[str, Column] = COLUMNS) -> MeanEnds:
    """Mean of a measurement over networks and the ends of its 95 % interval, within the measurement's range.

    Student's interval may reach below 0 collisions or above a share of 1, where no mean can lie: without that part it
    holds the true mean as often.

    Args:
        column: The measurement's name in the results; the range of an unknown one is the whole line.
        values: One network each, nan where undefined.
        known: The columns of the run, with those of the user's metrics.

    Returns:
        Mean and ends in float64; the mean is nan without values, the ends with fewer than two.

    Example:
        >>> [end.item() for end in interval_of("polysemantic_neurons", torch.tensor([0.0, 0.0, 0.0]))]
        [0.0, 0.0, 0.0]
        >>> [round(end.item(), 2) for end in interval_of("polysemantic_neurons", torch.tensor([1.0, 0.0, 0.0]))]
        [0.33, 0.0, 1.77]
    """
    return intervals_of({column: values}, known)[column]


def intervals_of(
    columns: dict[str, Float[Tensor, "*group value"]], known: Mapping[str, Column] = COLUMNS
) -> dict[str, MeanEnds]:
    """`interval_of` each column, all of one shape, in the time of one.

    Example:
        >>> intervals_of({"coverage": torch.tensor([0.5, 0.5]), "loss": torch.tensor([0.25, 0.25])})["loss"].mean.item()
        0.25
    """
    values = torch.stack(list(columns.values()))
    mean, half_width = mean_interval(values)
    ranges = torch.tensor([look_up(column, known).range for column in columns], dtype=torch.float64)
    ranges = ranges.view(-1, 2, *[1] * (mean.ndim - 1)).to(mean.device)
    least, most = ranges.unbind(1)
    low, high = mean - half_width, mean + half_width
    # The loss of a user's autoencoder may have another range than ours.
    low = low.where((values < least.unsqueeze(-1)).any(-1), low.maximum(least))
    high = high.where((values > most.unsqueeze(-1)).any(-1), high.minimum(most))
    return {column: MeanEnds(*ends) for column, *ends in zip(columns, mean, low, high, strict=True)}


# Seeds below which Student's interval says little.
_FEW = 4


def note_on_seeds(networks: int) -> str | None:
    """What to bear in mind about the intervals of means over few networks; None if these are not few.

    Args:
        networks: The fewest that any mean is over.

    Example:
        >>> note_on_seeds(3)
        'Only 3 seeds: an interval is wide and leans on normal spread; take 4 or more.'
    """
    if networks >= _FEW:
        return None
    if networks < 2:
        return "One seed: a mean has no interval; take 4 or more."
    return f"Only {networks} seeds: an interval is wide and leans on normal spread; take {_FEW} or more."


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
