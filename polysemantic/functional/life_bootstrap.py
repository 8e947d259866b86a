from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from polysemantic.functional.survival import Interval

# Numbers in one table of resamples by times.
_AT_ONCE = 2**20


class LifeIntervals(NamedTuple):
    """Bootstrap intervals of `median_life` and `resolution_rate`."""

    median_life: Interval
    resolution_rate: Interval


def bootstrap_lives(
    duration: Real[np.ndarray, " life"],
    resolved: Bool[np.ndarray, " life"],
    instance: Int[np.ndarray, " life"],
    *,
    n_instances: int,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    confidence: float = 0.95,
) -> LifeIntervals:
    """Intervals of the median life and the resolution rate, with whole instances as the unit.

    What `bootstrap_over_instances` gives for both statistics, from the same draws, but with each instance's lives
    counted at each duration once, so that a resample is a weighted sum of counts.

    Args:
        duration: Observed length of each life, in optimiser steps.
        resolved: Whether the life ended; false: alive when last seen.
        instance: The instance of each life, from 0 to `n_instances` - 1; one without any still counts.
        n_instances: Number of instances.
        rng: Generator that draws the resamples.
        n_resamples: Number of resamples.
        confidence: Coverage aimed at.

    Returns:
        Two intervals; nan ends for fewer than two instances or without lives.

    Raises:
        ValueError: If `n_resamples` is below 1 or `confidence` not inside (0, 1).

    Example:
        >>> import numpy as np
        >>> from polysemantic.functional import bootstrap_lives
        >>> duration, resolved = np.array([10, 30]), np.array([True, True])
        >>> bootstrap_lives(
        ...     duration, resolved, np.array([0, 1]), n_instances=2, rng=np.random.default_rng(0)
        ... ).median_life
        Interval(low=10.0, high=30.0)
    """
    if n_resamples < 1:
        raise ValueError(f"`n_resamples` must be at least 1, got {n_resamples}.")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie in (0, 1), got {confidence}.")
    if n_instances < 2 or len(duration) == 0:
        return LifeIntervals(Interval(np.nan, np.nan), Interval(np.nan, np.nan))
    times, at = np.unique(duration, return_inverse=True)
    ends, deaths = np.zeros((2, n_instances, len(times)))
    np.add.at(ends, (instance, at), 1)
    np.add.at(deaths, (instance, at), resolved)
    drawn = rng.integers(n_instances, size=(n_resamples, n_instances))
    times_drawn = (drawn[:, :, None] == np.arange(n_instances)).sum(1).astype(float)
    block = max(1, _AT_ONCE // len(times))
    medians = [
        _medians(times, times_drawn[k : k + block] @ ends, times_drawn[k : k + block] @ deaths)
        for k in range(0, n_resamples, block)
    ]
    with np.errstate(invalid="ignore"):
        rates = (times_drawn @ deaths.sum(1)) / (times_drawn @ (ends @ times))
    return LifeIntervals(_interval(np.concatenate(medians), confidence), _interval(rates, confidence))


def _medians(
    times: Real[np.ndarray, " time"],
    ends: Float[np.ndarray, "resample time"],
    deaths: Float[np.ndarray, "resample time"],
) -> Float[np.ndarray, " resample"]:
    at_risk = ends[:, ::-1].cumsum(1)[:, ::-1]
    survival = np.cumprod(1 - deaths / np.maximum(at_risk, 1), axis=1)
    halved = survival <= 0.5 + 1e-12  # as in `median_life`
    median = np.where(halved.any(1), times[halved.argmax(1)], np.inf)
    return np.where(at_risk[:, 0] > 0, median, np.nan)


def _interval(values: Float[np.ndarray, " resample"], confidence: float) -> Interval:
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return Interval(np.nan, np.nan)
    # No interpolation between resamples: a median life may be infinite.
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
    return Interval(float(low), float(high))
