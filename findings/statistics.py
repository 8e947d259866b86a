"""Estimates with intervals that come from networks, the only independent units there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import stats

from polysemantic.results.columns import COLUMNS, Column, look_up
from polysemantic.results.intervals import interval_of

_RESAMPLES = 2000
# Columns of the findings' own, and those of the results that have the same range.
_LIKE = {
    **dict.fromkeys(("polysemantic_neurons_0.3", "polysemantic_neurons_0.7"), "polysemantic_neurons"),
    **dict.fromkeys(("whole", "parts", "by_weight"), "polysemantic_neurons"),
    **dict.fromkeys(("same_sign_within", "same_sign_across"), "collisions_same_sign"),
    **dict.fromkeys(("coverage_0.3", "coverage_0.7", "disambiguates"), "coverage"),
    **dict.fromkeys(("near_2/5", "near_1/2", "near_2/3", "near_3/4", "near_1"), "coverage"),
    "error_ppm": "reconstruction_error",
}

_OF_NEURONS = ("polysemantic_neurons", "polysemantic_neurons_band", "empty_neurons", "participation_ratio")


class Estimate(NamedTuple):
    """A number with a 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """`-1.07 [-1.10, -1.04]`, to three digits of the value."""
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def difference(one: pd.Series, other: pd.Series) -> tuple[float, float]:
    """Difference of two means, half width of its 95 % interval (Welch): 0 between constants, nan of single values."""
    middle, error, freedom = _welch(one, other)
    return middle, 0.0 if error == 0 else float(stats.t.ppf(0.975, freedom) * error)


def is_less(one: pd.Series, other: pd.Series, level: float = 0.001) -> bool:
    """Whether a mean is below another beyond chance: one-sided Welch test; between constants, whether it is below.

    Never with fewer than two values of either, which say nothing of chance.
    """
    middle, error, freedom = _welch(one, other)
    return middle < 0 if error == 0 else bool(stats.t.cdf(middle / error, freedom) < level)


def _welch(one: pd.Series, other: pd.Series) -> tuple[float, float, float]:
    """Difference of means, its standard error and degrees of freedom, which are nan if either has a single value."""
    a, b = _known(one), _known(other)
    if min(len(a), len(b)) < 2:
        middle = a.mean() - b.mean() if len(a) and len(b) else np.nan
        return float(middle), np.nan, np.nan
    parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    total = parts.sum()
    freedom = total**2 / (parts**2 / [len(a) - 1, len(b) - 1]).sum() if total > 0 else np.nan
    return float(a.mean() - b.mean()), float(np.sqrt(total)), float(freedom)


def exponent(table: pd.DataFrame, x: str, y: str) -> float:
    """Slope b of y = c x^b through the means of each x; nan if a mean is not positive."""
    groups = {float(size): rows[y].to_numpy(dtype=float) for size, rows in by_key(table, x)}
    return float(_fit(np.log(list(groups)), list(groups.values()))[0])


def power_law(table: pd.DataFrame, x: str, y: str) -> tuple[Estimate, Estimate]:
    """Slope and prefactor of y = c x^b through the means of each x, with intervals by resampling networks.

    Args:
        table: One row for each network; means must be positive, and networks without a count are left out.
        x: Column of the sizes.
        y: Column of the counts.
    """
    rng = np.random.default_rng(0)
    known = table.dropna(subset=[y])
    groups = {float(size): rows[y].to_numpy(dtype=float) for size, rows in by_key(known, x)}
    sizes = np.log(list(groups))
    fits = np.array(
        [_fit(sizes, [rng.choice(group, len(group)) for group in groups.values()]) for _ in range(_RESAMPLES)]
    )
    low, high = np.nanquantile(fits, [0.025, 0.975], axis=0)
    slope, prefactor = _fit(sizes, list(groups.values()))
    return Estimate(slope, low[0], high[0]), Estimate(prefactor, low[1], high[1])


def _fit(log_sizes: np.ndarray, groups: list[np.ndarray]) -> tuple[float, float]:
    means = np.array([group.mean() for group in groups])
    if (means <= 0).any():
        return np.nan, np.nan
    slope, offset = np.polyfit(log_sizes, np.log(means), 1)
    return slope, np.exp(offset)


def by_key(table: pd.DataFrame, by: str | list[str], *, sort: bool = True) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The groups of a table with their keys, whose type only the column knows."""
    yield from table.groupby(by, sort=sort)


def ranged(values: pd.Series) -> pd.Series:
    """A column under the name of one whose range is known, if there is one."""
    like = _LIKE.get(str(values.name))
    return values if like is None else values.rename(like)


def within(name: str, most: float) -> dict[str, Column]:
    """The columns of results, of which a count of neurons ends at a number of neurons.

    Args:
        name: Name of the column that is shown.
        most: Neurons that there are.
    """
    column = look_up(name)
    if name not in _OF_NEURONS or not most < column.range[1]:
        return COLUMNS
    return COLUMNS | {name: dataclasses.replace(column, range=(column.range[0], most))}


def interval(values: pd.Series) -> Estimate:
    """Mean of a column with its 95 % interval (Student)."""
    known = torch.tensor(values.to_numpy(dtype=float, na_value=np.nan))
    return Estimate(*(float(end) for end in interval_of(str(ranged(values).name), known)))


def ratio_of_sums(sums: np.ndarray) -> Estimate:
    """One sum over another with a 95 % interval by resampling networks, within 0 and 1, as it is a share.

    As `polysemantic.functional.bootstrap_over_instances`, for this statistic all resamples at once.

    Args:
        sums: For each network its part and its whole, (network, 2).
    """
    middle = _ratio(sums.sum(0))
    if np.isnan(middle) or len(sums) < 2:
        return Estimate(float(middle), np.nan, np.nan)
    drawn = np.random.default_rng(0).integers(len(sums), size=(_RESAMPLES // 2, len(sums)))
    spread = np.sqrt(np.nanmean((_ratio(sums[drawn].sum(1)) - middle) ** 2))
    half = stats.t.ppf(0.975, len(sums) - 1) * np.sqrt(len(sums) / (len(sums) - 1)) * spread
    low, high = np.clip([middle - half, middle + half], 0, 1)
    return Estimate(float(middle), float(low), float(high))


def _ratio(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: np.ndarray = np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan)
    return ratio


def binomial(successes: int, trials: int) -> Estimate:
    """A share with its exact 95 % interval (Clopper and Pearson)."""
    result = stats.binomtest(successes, trials)
    low, high = result.proportion_ci(0.95)
    return Estimate(successes / trials, low, high)


def _known(values: pd.Series) -> np.ndarray:
    found: np.ndarray = values.to_numpy(dtype=float, na_value=np.nan)
    known: np.ndarray = found[~np.isnan(found)]
    return known
