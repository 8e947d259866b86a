from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from polysemantic.functional.lives.bootstrap_over_instances import Interval, check_resampling, student_factor

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

    The rate's is that of `bootstrap_over_instances`, cut at 0. The median's ends at the first times at which the
    interval of the survival, likewise from there, reaches down to 1/2 and lies below 1/2 as a whole (Brookmeyer and
    Crowley, 1982): resampled medians spread too little for few instances, and may be infinite. Both have the same
    draws, and each instance's lives are counted at each duration once, so that a resample is a weighted sum of counts.

    With 2, 3, 4, 8, 16 and 32 instances of about 20 exponential lives each, 95 % intervals held the true median in 92,
    96, 96, 95, 96 and 97 % of 2000 repeats, the true rate in 95 or 96 %. Of very few lives they hold it less often.

    Args:
        duration: Observed length of each life, in optimiser steps.
        resolved: Whether the life ended; false: alive when last seen.
        instance: The instance of each life, from 0 to `n_instances` - 1; one without any is resampled too.
        n_instances: Number of instances.
        rng: Generator that draws the resamples.
        n_resamples: Number of resamples.
        confidence: Coverage aimed at.

    Returns:
        Two intervals; nan ends for fewer than two instances with lives, or if none was resolved.

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
    check_resampling(n_resamples, confidence)
    n_filled = len(np.unique(instance))
    if n_filled < 2 or not resolved.any():
        return LifeIntervals(Interval(np.nan, np.nan), Interval(np.nan, np.nan))
    times, at = np.unique(duration, return_inverse=True)
    ends, deaths = np.zeros((2, n_instances, len(times)))
    np.add.at(ends, (instance, at), 1)
    np.add.at(deaths, (instance, at), resolved)
    drawn = rng.integers(n_instances, size=(n_resamples, n_instances))
    weights = (drawn[:, :, None] == np.arange(n_instances)).sum(1).astype(float)
    weights = weights[weights @ ends.sum(1) > 0]
    factor = student_factor(n_filled, confidence)
    median = _median(times, ends, deaths, weights, factor)
    return LifeIntervals(median, _rate(deaths.sum(1), ends @ times, weights, factor))


def _median(
    times: Real[np.ndarray, " time"],
    ends: Float[np.ndarray, "instance time"],
    deaths: Float[np.ndarray, "instance time"],
    weights: Float[np.ndarray, "resample instance"],
    factor: float,
) -> Interval:
    survival = _survival(ends.sum(0), deaths.sum(0))
    squares = np.zeros(len(times))
    block = max(1, _AT_ONCE // len(times))
    for k in range(0, len(weights), block):
        some = weights[k : k + block]
        squares += ((_survival(some @ ends, some @ deaths) - survival) ** 2).sum(0)
    half_width = factor * np.sqrt(squares / len(weights))
    return Interval(_reaches_half(times, survival - half_width), _reaches_half(times, survival + half_width))


def _survival(ends: Float[np.ndarray, "*resample time"], deaths: Float[np.ndarray, "*resample time"]) -> np.ndarray:
    at_risk = ends[..., ::-1].cumsum(-1)[..., ::-1]
    return np.cumprod(1 - deaths / np.maximum(at_risk, 1), axis=-1)


def _reaches_half(times: Real[np.ndarray, " time"], survival: Float[np.ndarray, " time"]) -> float:
    reached = times[survival <= 0.5 + 1e-12]  # as in `median_life`
    return float(reached[0]) if len(reached) else np.inf


def _rate(
    deaths: Float[np.ndarray, " instance"],
    steps: Float[np.ndarray, " instance"],
    weights: Float[np.ndarray, "resample instance"],
    factor: float,
) -> Interval:
    if steps.sum() == 0:
        return Interval(np.nan, np.nan)
    rate = deaths.sum() / steps.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        half_width = factor * np.sqrt(np.nanmean(((weights @ deaths) / (weights @ steps) - rate) ** 2))
    return Interval(float(max(0.0, rate - half_width)), float(rate + half_width))
