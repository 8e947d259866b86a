import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped
from scipy import stats


class Interval(NamedTuple):
    """Ends of a confidence interval."""

    low: float
    high: float


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
