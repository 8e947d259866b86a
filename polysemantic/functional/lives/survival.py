import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Real, Shaped
from scipy import stats


class SurvivalCurve(NamedTuple):
    """Share of collisions alive after each time; 1 before the first of `times`."""

    times: Float[np.ndarray, " time"]
    survival: Float[np.ndarray, " time"]


class Interval(NamedTuple):
    """Ends of a confidence interval."""

    low: float
    high: float


def _check_lives(duration: Real[np.ndarray, "..."], resolved: Bool[np.ndarray, "..."]) -> None:
    if duration.shape != resolved.shape:
        raise ValueError(f"`resolved` must have the shape of `duration`, {duration.shape}, got {resolved.shape}.")
    if not (duration >= 0).all():
        raise ValueError(f"`duration` must be at least 0, got {duration.min()}.")


def kaplan_meier(duration: Real[np.ndarray, " life"], resolved: Bool[np.ndarray, " life"]) -> SurvivalCurve:
    r"""Kaplan-Meier estimate of the share of collisions that outlive each duration.

    :math:`S(t) = \prod_{t_l \le t} (1 - d_l / r_l)`, with :math:`d_l` collisions resolved at :math:`t_l` among the
    :math:`r_l` that lasted as long. A collision that is still alive counts among the latter for as long as it was seen.

    1 throughout: no collision ever goes away. 0 at the end: the longest observed one did.

    Args:
        duration: Observed length of each life, in optimiser steps.
        resolved: Whether the life ended; false: alive when last seen.

    Returns:
        The distinct durations in rising order and the survival after each; empty for no lives.

    Raises:
        ValueError: If the shapes differ or a duration is negative or nan.

    Example:
        >>> import numpy as np
        >>> from polysemantic.functional import kaplan_meier
        >>> curve = kaplan_meier(np.array([10, 20, 20, 40]), np.array([True, True, False, False]))
        >>> curve.times.tolist(), curve.survival.tolist()
        ([10.0, 20.0, 40.0], [0.75, 0.5, 0.5])
    """
    _check_lives(duration, resolved)
    lives = stats.CensoredData.right_censored(duration.astype(float), ~resolved)
    survival = stats.ecdf(lives).sf
    return SurvivalCurve(survival.quantiles, survival.probabilities)


def median_life(curve: SurvivalCurve) -> float:
    """Shortest duration that no more than half of the collisions outlive.

    Infinite if more than half are alive at the end of the curve.

    Args:
        curve: From `kaplan_meier`.

    Returns:
        A number of steps; nan for a curve without lives.

    Example:
        >>> import numpy as np
        >>> from polysemantic.functional import kaplan_meier, median_life
        >>> median_life(kaplan_meier(np.array([10, 20, 40]), np.array([True, True, False])))
        20.0
    """
    if len(curve.times) == 0:
        return float("nan")
    # Tolerant, because a product of factors that should be exactly 1/2 may round to just above.
    reached = curve.times[curve.survival <= 0.5 + 1e-12]
    return float(reached[0]) if len(reached) else float("inf")


def resolution_rate(duration: Real[np.ndarray, " life"], resolved: Bool[np.ndarray, " life"]) -> float:
    r"""Collisions resolved per step of life observed, :math:`\sum \mathrm{resolved} / \sum \mathrm{duration}`.

    The maximum-likelihood hazard if collisions have no memory; its inverse is then the mean life. 0: none resolved.

    Args:
        duration: Observed length of each life, in optimiser steps.
        resolved: Whether the life ended; false: alive when last seen.

    Returns:
        A rate per step; nan if no life lasted.

    Raises:
        ValueError: If the shapes differ or a duration is negative or nan.

    Example:
        >>> import numpy as np
        >>> from polysemantic.functional import resolution_rate
        >>> resolution_rate(np.array([10, 30]), np.array([True, False]))
        0.025
    """
    _check_lives(duration, resolved)
    at_risk = float(duration.sum())
    return float(resolved.sum()) / at_risk if at_risk > 0 else float("nan")


def bootstrap_over_instances(
    values_by_instance: Sequence[Shaped[np.ndarray, "_ ..."]],
    statistic: Callable[[Any], float],
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    confidence: float = 0.95,
) -> Interval:
    r"""Student interval of a statistic of pooled values by a bootstrap with whole instances as the unit.

    Lives in one instance share a network and depend on one another, so resampling single lives would give an
    interval that is too narrow. Its half width is :math:`t_{N-1} \sqrt{N / (N-1)}` times the spread of the resamples
    around the value of all N instances: for a mean that is Student's interval, up to the draws, while quantiles of
    resamples are too narrow for few instances. A resample for which the statistic is undefined (nan) is left out.

    Args:
        values_by_instance: For each instance, its rows (one per life, say); one without any is resampled, but is not
            counted in N.
        statistic: Value of the rows of all resampled instances, stacked.
        rng: Generator that draws the resamples.
        n_resamples: Number of resamples.
        confidence: Coverage aimed at.

    Returns:
        The interval; nan ends for fewer than two instances with rows or if the statistic is undefined, the whole line
        if a resample is infinite.

    Raises:
        ValueError: If `n_resamples` is below 1 or `confidence` not inside (0, 1).

    Example:
        >>> import numpy as np
        >>> from polysemantic.functional import bootstrap_over_instances
        >>> values = [np.array([1.0, 1.0]), np.array([3.0]), np.array([2.0])]
        >>> interval = bootstrap_over_instances(values, np.mean, rng=np.random.default_rng(0))
        >>> round(interval.low, 1), round(interval.high, 1)
        (-1.1, 4.6)
    """
    check_resampling(n_resamples, confidence)
    n_instances = len(values_by_instance)
    n_filled = sum(len(values) > 0 for values in values_by_instance)
    if n_filled < 2:
        return Interval(math.nan, math.nan)
    drawn = rng.integers(n_instances, size=(n_resamples, n_instances))
    resampled = np.array([statistic(np.concatenate([values_by_instance[k] for k in row])) for row in drawn])
    middle = float(statistic(np.concatenate(values_by_instance)))
    if math.isnan(middle):
        return Interval(math.nan, math.nan)
    if np.isinf([middle, *resampled]).any():
        return Interval(-math.inf, math.inf)
    half_width = student_factor(n_filled, confidence) * math.sqrt(np.nanmean((resampled - middle) ** 2))
    return Interval(middle - half_width, middle + half_width)


def check_resampling(n_resamples: int, confidence: float) -> None:
    """Refuse what no bootstrap can do."""
    if n_resamples < 1:
        raise ValueError(f"`n_resamples` must be at least 1, got {n_resamples}.")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie in (0, 1), got {confidence}.")


def student_factor(n_instances: int, confidence: float) -> float:
    r"""Half width of an interval by the spread of its resamples, :math:`t_{N-1} \sqrt{N / (N-1)}`."""
    return float(stats.t.ppf((1 + confidence) / 2, n_instances - 1)) * math.sqrt(n_instances / (n_instances - 1))
