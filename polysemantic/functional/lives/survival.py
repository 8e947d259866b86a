from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Real
from scipy import stats


class SurvivalCurve(NamedTuple):
    """Share of collisions alive after each time; 1 before the first of `times`."""

    times: Float[np.ndarray, " time"]
    survival: Float[np.ndarray, " time"]


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
