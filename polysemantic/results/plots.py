"""A measurement against what varied, as a figure of matplotlib."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation, Transform

from polysemantic.results.columns import Column, look_up
from polysemantic.results.intervals import interval_of
from polysemantic.results.tables import value_text

# Okabe and Ito's colours, and markers, which also tell curves apart without colours.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5C4B8A", "#7F7F7F")
_MARKERS = ("o", "s", "D", "^", "P", "X", "*", "v")
# From this ratio of the largest to the smallest value on, an axis is logarithmic.
_DECADES = 20
_COVERAGE = "coverage"
# Curves that a legend names.
_NAMED = 16
# Points (1/72 inch) between curves at one position, and between the first and the last at most; networks of equal
# values beside one another.
_BESIDE, _BREADTH, _ABREAST = 14.0, 30.0, 8


class Picture(Figure):
    """A figure that a notebook shows by itself, whatever backend matplotlib has there."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=110)
        return content.getvalue()


def draw(table: pd.DataFrame, x: str, y: str, by: list[str], known: Mapping[str, Column]) -> Figure:
    """A panel for a measurement, and one for coverage beside it: points of networks, means and their 95 % intervals.

    Args:
        table: One row for each network, or for each network and step.
        x: The column along the horizontal axis, of numbers or words.
        y: The measurement.
        by: The columns whose every combination is a curve of its own.
        known: The columns.
    """
    panels = [y] if y == _COVERAGE or _COVERAGE not in table else [y, _COVERAGE]
    figure = Picture(figsize=(4.4 * len(panels) + 0.6, 3.4), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    curves = list(_curves(table, by))
    positions, words = _positions(table[x])
    sizes = {size: int(table[size].max()) for size in ("n_features", "n_hidden")}
    known = {name: look_up(name, known).within(**sizes) for name in (x, *panels)}
    for axis, column in zip(axes, panels, strict=True):
        _set_scale(axis, positions, words)
        for at, (name, rows) in enumerate(curves):
            _curve(axis, rows, positions[rows.index], x, column, known, at, len(curves), name)
        _name_axis(axis, look_up(x, known), look_up(column, known))
    if by and len(curves) <= _NAMED:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(3, len(curves)))
    return figure


def _curves(table: pd.DataFrame, by: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each combination, and what to call it."""
    if not by:
        yield "all networks", table
        return
    for _, rows in table.groupby(by, sort=True, dropna=False):
        yield ", ".join(f"{name} = {value_text(rows[name].iloc[0], table[name])}" for name in by), rows


def _positions(values: pd.Series[Any]) -> tuple[pd.Series[float], list[str]]:
    """Where rows stand along an axis, and the words that stand there instead of numbers."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.astype(float), []
    words = list(dict.fromkeys(values.astype(str)))
    return values.astype(str).map(words.index).astype(float), words


def _curve(
    axis: Axes,
    rows: pd.DataFrame,
    positions: pd.Series[float],
    x: str,
    column: str,
    known: Mapping[str, Column],
    at: int,
    n_curves: int,
    name: str,
) -> None:
    """Every network, and means with intervals; over training, where networks would hide the means, bands instead."""
    colour, marker = _COLOURS[at % len(_COLOURS)], _MARKERS[(at + at // len(_COLOURS)) % len(_MARKERS)]
    values = rows[column].to_numpy(dtype=float, na_value=math.nan)
    where = np.unique(positions.dropna())
    ends = [interval_of(column, torch.from_numpy(values[positions == position]), known) for position in where]
    mean, low, high = (np.array([float(end[part]) for end in ends]) for part in range(3))
    low, high = (np.where(np.isnan(end), mean, end) for end in (low, high))
    if x == "step":
        axis.fill_between(where, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.plot(where, mean, color=colour, label=name)
        return
    points = (at - (n_curves - 1) / 2) * min(_BESIDE, _BREADTH / n_curves)
    bars = np.stack([mean - low, high - mean])
    # What is moved aside does not count for the limits of the axis.
    for ends_of in ((where, low), (where, high), (positions.to_numpy(), values)):
        places = np.stack(ends_of, 1)
        axis.update_datalim(places[~np.isnan(places).any(1)])
    axis.margins(x=0.1)
    axis.autoscale_view()
    look: dict[str, Any] = {"color": colour, "marker": marker}
    axis.errorbar(where, mean, bars, **look, markersize=5, capsize=3, label=name, transform=_shifted(axis, points))
    # Networks of equal values stand side by side.
    equal = pd.Series(values).groupby([positions.to_numpy(), values]).cumcount() % _ABREAST
    for rank, at_once in equal.groupby(equal):
        shifted = _shifted(axis, points + 1.5 * (int(str(rank)) + 2))
        look |= {"alpha": 0.35, "markersize": 2.5, "linestyle": "none", "transform": shifted}
        axis.plot(positions.to_numpy()[at_once.index], values[at_once.index], **look)


def _shifted(axis: Axes, points: float) -> Transform:
    """Places of an axis, moved to the right."""
    figure = axis.get_figure()
    assert figure is not None
    return axis.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def _set_scale(axis: Axes, positions: pd.Series[float], words: list[str]) -> None:
    """Words where there are some, decades for numbers far apart; before anything is drawn, as shifts depend on it."""
    positive = positions[positions > 0]
    if words:
        axis.set_xticks(range(len(words)), words)
    elif len(positive) and positions.max() > _DECADES * positive.min() and (positions >= 0).all():
        if (positions > 0).all():
            axis.set_xscale("log")
        else:
            axis.set_xscale("symlog", linthresh=float(positive.min()))


def _name_axis(axis: Axes, x: Column, y: Column) -> None:
    axis.set_xlabel(x.axis)
    axis.set_ylabel(y.axis)
    axis.spines[["top", "right"]].set_visible(False)
    if y.is_share:
        axis.set_ylim(-0.03, 1.03)
    elif y.from_zero:
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
