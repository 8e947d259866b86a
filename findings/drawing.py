"""How the figures of the findings look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from matplotlib.transforms import ScaledTranslation

from findings.statistics import ranged
from polysemantic.report.groups import statistics
from polysemantic.report.labels import MARKERS, PALETTE, label
from polysemantic.report.paper import plain_ticks
from polysemantic.report.scales import tick_texts

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
    axes: Axes,
    table: pd.DataFrame,
    x: str,
    y: str,
    *,
    name: str | None = None,
    at: int = 0,
    dashed: bool = False,
    zero_at: float = 0.0,
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
        zero_at: Where networks with a 0 stand, which has no place on a logarithmic axis.
    """
    colour, marker = PALETTE[at % len(PALETTE)], MARKERS[at % len(MARKERS)]
    values = ranged(table[y].dropna())
    found = statistics(pd.concat([table.loc[values.index, x], values], axis=1), [x], str(values.name))
    axes.plot(table[x], table[y].replace(0, zero_at), ".", color=colour, alpha=0.2, markersize=3.5, markeredgewidth=0)
    reach = [found["mean"] - found["low"], found["high"] - found["mean"]]
    style = f"{marker}{'--' if dashed else '-'}"
    axes.errorbar(
        found[x], found["mean"], reach, fmt=style, color=colour, markersize=4, capsize=2, linewidth=1, label=name
    )


def polished(figure: Figure) -> Figure:
    """A figure with plain numbers on logarithmic axes, and with each legend below its panel, where it hides no data."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        # A unit stands below its name: a label is no longer than its axis.
        axis.set_label_text(axis.get_label_text().replace(" (", "\n("))
    figure.draw_without_rendering()
    heights = [0.0]
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() in ("log", "symlog") and not isinstance(axis.get_major_locator(), FixedLocator):
                plain_ticks(axis)
        if axes.get_legend():
            heights.append(_below(axes))
    figure.set_figheight(figure.get_figheight() + max(heights))
    return figure


def _below(axes: Axes) -> float:
    """Put a legend below the labels of its panel; gives its height in inches."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    handles, names = axes.get_legend_handles_labels()
    labels = axes.xaxis.get_tightbbox()
    assert labels is not None
    under = (labels.y0 - axes.bbox.y0) / figure.dpi - 0.06
    columns = max(1, int(axes.bbox.width / figure.dpi / (0.35 + 0.055 * max(map(len, names)))))
    legend = axes.legend(
        handles,
        names,
        frameon=False,
        fontsize=7,
        loc="upper center",
        ncols=min(columns, len(names)),
        borderaxespad=0,
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + ScaledTranslation(0, under, figure.dpi_scale_trans),
    )
    return float(legend.get_window_extent().height / figure.dpi)


def tell_zero(axes: Axes, zero_at: float, ticks: Sequence[float]) -> None:
    """Name the place that 0 has below a logarithmic vertical axis, and set it apart."""
    axes.axhline(zero_at * 2**0.5, color=GREY, linewidth=0.6, linestyle=":")
    axes.set_yticks([zero_at, *ticks], labels=["0", *tick_texts([*ticks])])


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
