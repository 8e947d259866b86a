"""Means and intervals over networks, as series of a chart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from polysemantic.report.charts import Panel, Series, Spread, Value
from polysemantic.report.labels import counted, label, value_text
from polysemantic.report.material import Material
from polysemantic.report.scales import is_number, scale
from polysemantic.results.columns import COLUMNS, Column, look_up
from polysemantic.results.intervals import interval_of, interval_text

SHARE = (-0.02, 1.04)
"""An axis from 0 to 1 on which marks at both ends are whole."""

# Single networks in one panel: a browser draws as many at once.
_POINTS = 1500


def statistics(rows: pd.DataFrame, by: list[str], column: str, columns: Mapping[str, Column] = COLUMNS) -> pd.DataFrame:
    """Mean of a column in each group, 95 % interval and number of networks that have one."""
    groups = rows.groupby(by, sort=True, dropna=False)
    sizes = groups.size()
    # One row a group, filled up with nan: thousands of intervals then cost as much as one.
    values = np.full((len(sizes), int(sizes.max()) if len(sizes) else 0), np.nan)
    values[groups.ngroup(), groups.cumcount()] = rows[column].to_numpy(dtype=float, na_value=math.nan)
    mean, *ends = (part.numpy() for part in interval_of(column, torch.from_numpy(values), columns))
    low, high = (np.where(np.isnan(end), mean, end) for end in ends)
    if (size := look_up(column, columns).at_most) in rows and len(sizes):
        # A mean over networks of one size ends there, though not where a user's metric goes beyond.
        most = np.fmax(groups[size].max().to_numpy(dtype=float), np.nanmax(values, axis=1, initial=-math.inf))
        high = np.minimum(high, most)
    numbers = {"mean": mean, "low": low, "high": high, "networks": (~np.isnan(values)).sum(1)}
    return sizes.index.to_frame(index=False).assign(**numbers)


def curves(material: Material, x: str, columns: list[str], by: list[str]) -> list[Series]:
    """A panel for each column against x, a colour for each combination of `by`: every network, and means."""
    return [
        series
        for colour, (name, rows) in enumerate(split(material, by, material.results.dropna(subset=[x, columns[0]])))
        for panel, column in enumerate(columns)
        for series in (
            _networks(material, rows, x, column, Series(name, "points", [], [], colour=colour, panel=panel)),
            _means(rows, x, column, Series(name, "mean", [], [], colour=colour, panel=panel)),
        )
    ]


def _networks(material: Material, rows: pd.DataFrame, x: str, column: str, empty: Series) -> Series:
    known = rows.dropna(subset=[column])
    known = thinned(material, known)
    return dataclasses.replace(
        empty, x=positions(known[x]), y=numbers(known[column]), detail=network_details(material, known)
    )


def network_details(material: Material, rows: pd.DataFrame) -> list[str]:
    """What hovering tells of each network: which it is, and its coverage."""
    return [_network(material, row) for row in rows[["run", "seed", "coverage"]].to_dict("records")]


def thinned(material: Material, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of single networks, evenly from all of them if these would make too many points."""
    return rows.iloc[:: math.ceil(len(material.results) / _POINTS)]


def thinning_note(material: Material) -> list[str]:
    """Says that only some networks are drawn, if so."""
    total = len(material.results)
    every = math.ceil(total / _POINTS)
    return [f"One in {every} of the {total} networks is drawn; means are over all."] if every > 1 else []


def _means(rows: pd.DataFrame, x: str, column: str, empty: Series) -> Series:
    means = statistics(rows, [x], column).dropna(subset=["mean"])
    told = [f"mean of {counted(count, 'network')}" for count in means["networks"]]
    low, mean, high = (numbers(means[end]) for end in ("low", "mean", "high"))
    return dataclasses.replace(empty, x=positions(means[x]), y=mean, low=low, high=high, detail=told)


def split(material: Material, by: list[str], rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each combination of some axes, and what to call it: by what not all of them share."""
    differing = [axis for axis in by if rows[axis].astype(str).nunique() > 1]
    if not differing:
        yield "all networks", rows
        return
    for _, group in rows.groupby(differing, sort=True, dropna=False):
        yield material.point_label(group.iloc[0], differing), group


def goes_along(material: Material, axis: str, x: str) -> bool:
    """Whether an axis has one value for each x, as a batch size that was chosen by it: no curve is of one alone."""
    return bool(material.results.groupby(x)[axis].nunique().max() <= 1)


def _network(material: Material, row: dict[Any, Any]) -> str:
    where = f"{material.run_names[row['run']]}, " if len(material.sources) > 1 else ""
    return f"{where}seed {row['seed']}, coverage {value_text(float(row['coverage']))}"


def positions(values: pd.Series[Any]) -> list[Value]:
    """A column as positions on an axis: words as they are, and true and false as words."""
    if values.dtype == object or isinstance(values.dtype, pd.StringDtype) or values.dtype == bool:
        return [str(value) for value in values]
    return [*numbers(values)]


def numbers(values: pd.Series[Any]) -> list[float]:
    """A column of numbers, nan where there is none."""
    return [float(value) for value in values.to_numpy(dtype=float, na_value=math.nan)]


def counts_table(material: Material, x: str, columns: list[str], by: list[str]) -> pd.DataFrame:
    """Means and intervals of some columns, to download."""
    keys = [*by, x]
    tables = [statistics(material.results, keys, column).assign(measurement=column) for column in columns]
    return pd.concat(tables, ignore_index=True)


def panels(
    x: str,
    columns: list[str],
    *,
    log_x: bool = False,
    log_y: bool = False,
    spread: Spread = "none",
    known: Mapping[str, Column] = COLUMNS,
) -> list[Panel]:
    """Axes of some columns against another, counts from 0; the first may be logarithmic."""
    return [
        Panel(
            label(x),
            label(column, known),
            log_x,
            log_y and at == 0,
            zero_x=look_up(x).from_zero,
            zero_y=look_up(column, known).from_zero,
            spread=spread,
            limits=SHARE if look_up(column, known).is_share else None,
        )
        for at, column in enumerate(columns)
    ]


def settings_panels(
    x: str,
    values: pd.Series[Any],
    columns: list[str],
    *,
    log_y: bool = False,
    at_values: bool = True,
    known: Mapping[str, Column] = COLUMNS,
) -> list[Panel]:
    """Axes of some columns against a setting, whose scale and ticks its values decide."""
    found = scale(values, at_values=at_values)
    words = () if is_number(values) else tuple(dict.fromkeys(map(str, values.dropna())))
    return [
        dataclasses.replace(panel, ticks=found.ticks, zero_at=found.zero_at, words=words, zero_x=False)
        for panel in panels(x, columns, log_x=found.log, log_y=log_y, spread="curves", known=known)
    ]


def spans_decades(values: pd.Series[Any]) -> bool:
    """Whether positive numbers span so much that a logarithmic axis shows them better."""
    if not pd.api.types.is_numeric_dtype(values):
        return False
    known = values.dropna()
    return bool((known > 0).all() and known.max() >= 4 * known.min())


def in_words(mean: float, low: float, high: float) -> str:
    """Mean and 95 % interval of networks, a dash where there is none."""
    if math.isnan(mean):
        return "-"
    if not high > low:
        return f"{mean:.4g}"
    reach = max(mean - low, high - mean)
    digits = 1 - math.floor(math.log10(reach))
    if digits <= 4:
        return interval_text(mean, low, high, max(0, digits))
    cut = not math.isclose(mean - low, high - mean)
    return f"{mean:.4g} [{low:.2g}, {high:.2g}]" if cut else f"{mean:.4g} ± {reach:.2g}"


def diverged_note(material: Material) -> list[str]:
    """Says how many networks diverged, if any did."""
    diverged = int(material.results["diverged_step"].notna().sum())
    return [f"{diverged} of {len(material.results)} networks diverged and are left out."] if diverged else []


def has(material: Material, *columns: str) -> bool:
    """Whether the results hold these columns with a number in each."""
    return all(column in material.results and material.results[column].notna().any() for column in columns)
