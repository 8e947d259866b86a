"""How the figures of the findings look."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from findings.statistics import ranged
from polysemantic.report.groups import statistics
from polysemantic.report.labels import MARKERS, PALETTE, label

GREY = "#555555"


def panels(count: int, *, height: float = 3.0) -> tuple[Figure, list[Axes]]:
    """A figure as wide as a page with panels side by side."""
    figure = Figure(figsize=(8.2, height), layout="constrained")
    axes = [figure.add_subplot(1, count, at + 1) for at in range(count)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8)
    return figure, axes


def curve(
    axes: Axes, table: pd.DataFrame, x: str, y: str, *, name: str | None = None, at: int = 0, dashed: bool = False
) -> None:
    """Means with 95 % intervals over networks, and faintly the networks.

    Args:
        axes: Where to draw.
        table: One row for each network.
        x: Column across.
        y: Column up.
        name: What the legend calls it.
        at: Which colour and mark it has.
        dashed: Whether its line is dashed.
    """
    colour, marker = PALETTE[at % len(PALETTE)], MARKERS[at % len(MARKERS)]
    values = ranged(table[y].dropna())
    found = statistics(pd.concat([table.loc[values.index, x], values], axis=1), [x], str(values.name))
    axes.plot(table[x], table[y], ".", color=colour, alpha=0.12, markersize=3, markeredgewidth=0)
    reach = [found["mean"] - found["low"], found["high"] - found["mean"]]
    style = f"{marker}{'--' if dashed else '-'}"
    axes.errorbar(
        found[x], found["mean"], reach, fmt=style, color=colour, markersize=4, capsize=2, linewidth=1, label=name
    )


def finish(
    axes: Axes, x: str, y: str, *, title: str = "", legend: bool = True, scales: Mapping[str, str] | None = None
) -> None:
    """Name the axes by what their columns are called everywhere."""
    axes.set_xlabel(label(x), fontsize=8)
    axes.set_ylabel(label(y), fontsize=8)
    axes.set_title(title, loc="left", fontsize=9)
    for axis, scale in (scales or {}).items():
        axes.set(**{f"{axis}scale": scale})
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=7)
