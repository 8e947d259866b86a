"""Charts for print: as wide as a column, colours that all can tell apart, text that stays text."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.scale import SymmetricalLogTransform
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from polysemantic.report.charts import Against, AnyChart, Chart, Panel, Phase, Series, Slides, Value, largest
from polysemantic.report.labels import DIVERGING, MARKERS, PALETTE, STYLES, THEORY, label, look, value_texts
from polysemantic.report.placing import apart, places
from polysemantic.report.scales import break_at, shortened, tick_places, tick_texts
from polysemantic.results.columns import look_up

# Inches: a column of a two-column paper.
_WIDTH = 3.35
_STYLE: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "font.size": 7,
    "text.parse_math": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.fontsize": 6,
}
# Columns of a legend at most, and letters of its lines, until it is no wider than the figure.
_COLUMNS, _LETTERS = 4, (999, 64, 48, 32)
_WORDS = 20
_SIGNS = LinearSegmentedColormap.from_list("signs", DIVERGING)


def draw(chart: AnyChart) -> dict[str, bytes]:
    """A chart as PDF and PNG, by file name; of several views the first, of a slider the first and the last step."""
    figure = arranged(chart)
    with mpl.rc_context(_STYLE):
        return {f"{chart.key}.{kind}": _saved(figure, kind) for kind in ("pdf", "png")}


def arranged(chart: AnyChart) -> Figure:
    """The figure of a chart, with all its parts in their places."""
    with mpl.rc_context(_STYLE):
        figure = _figure(chart)
        figure.draw_without_rendering()
        # Once is enough: arranging the parts costs more than drawing them.
        figure.set_layout_engine("none")
        return figure


def _saved(figure: Figure, kind: str) -> bytes:
    content = io.BytesIO()
    # Without a date, equal results make equal files.
    dated = {"CreationDate": None} if kind == "pdf" else None
    figure.savefig(content, format=kind, dpi=300, metadata=dated)
    return content.getvalue()


def _figure(chart: AnyChart) -> Figure:
    if isinstance(chart, Against):
        return _curves(next(iter(chart.charts.values())))
    if isinstance(chart, Phase):
        return _phase(chart)
    return _slides(chart) if isinstance(chart, Slides) else _curves(chart)


def _curves(chart: Chart) -> Figure:
    rows = len(chart.panels)
    name, found = next(iter(chart.views.items()))
    series = [apart(one, chart.panels[one.panel]) for one in found]
    placed = list(zip(series, places(series, chart.panels), strict=True))
    tall = 4.2 if chart.panels[0].categories else 2.4 if chart.panels[0].words else 2.0
    figure = Figure(figsize=(_WIDTH, tall * rows), layout="constrained")
    for at, panel in enumerate(chart.panels):
        axes = figure.add_subplot(rows, 1, at + 1)
        for one, where in placed:
            if one.panel == at:
                _series(axes, one, where)
        _finish(axes, panel)
    if name:
        figure.axes[0].set_title(name, loc="left", fontsize=7, wrap=True)
    if chart.legend:
        _legend(figure, list(dict.fromkeys(one.name for one in series)))
    return figure


def _series(axes: Axes, series: Series, where: Sequence[Value]) -> None:
    at, symbol = look(series.colour)
    colour, marker = PALETTE[at], MARKERS[symbol]
    x, y = _placed(where), _placed(series.y)
    if series.kind == "life":
        _strokes(axes, series, colour)
    elif series.kind == "points":
        axes.plot(x, y, marker, color=colour, alpha=0.4, markersize=2, label=series.name, mew=0)
    elif series.kind == "mark":
        axes.plot(
            x, y, marker, color=colour, markeredgecolor="white", mew=0.4, markersize=4, label=series.name, zorder=3
        )
    elif series.kind == "mean":
        _mean(axes, series, x, colour, marker)
    else:
        theory = series.kind == "theory"
        colour = THEORY[series.colour % len(THEORY)] if theory else colour
        style = ("--", ":")[series.colour % 2] if theory else STYLES[series.dash]
        steps = "steps-post" if series.kind == "line" else "default"
        axes.plot(x, y, linestyle=style, color=colour, label=series.name, drawstyle=steps)
        if series.low is not None and series.high is not None:
            axes.fill_between(x, series.low, series.high, color=colour, alpha=0.2, linewidth=0)


def _mean(axes: Axes, series: Series, x: np.ndarray, colour: str, marker: str) -> None:
    assert series.low is not None
    assert series.high is not None
    y = np.array(series.y, dtype=float)
    reach = np.abs([y - series.low, np.array(series.high) - y])
    # Words are in no order that a line could follow.
    line = "" if any(isinstance(x, str) for x in series.x) else "-"
    style = f"{marker}{line}"
    axes.errorbar(x, y, reach, fmt=style, color=colour, capsize=1.5, elinewidth=0.8, label=series.name, zorder=3)


def _strokes(axes: Axes, series: Series, colour: str) -> None:
    shown = [(x, y) for x, y in zip(series.x, series.y, strict=True) if y is not None]
    for at, ((start, place), (stop, _)) in enumerate(zip(shown[::2], shown[1::2], strict=True)):
        name = series.name if at == 0 else None
        axes.plot(_placed([start, stop]), _placed([place, place]), color=colour, linewidth=2, label=name)


def _placed(values: Sequence[Value]) -> np.ndarray:
    """Positions as matplotlib takes them: words, or numbers with nan for what is missing."""
    words = any(isinstance(value, str) for value in values)
    return np.array(values) if words else np.array([np.nan if value is None else value for value in values], float)


def _finish(axes: Axes, panel: Panel) -> None:
    # A unit below its name: a label is no longer than its axis.
    axes.set(xlabel=panel.x, ylabel=panel.y.replace(" (", "\n("))
    if panel.log_x:
        axes.set_xscale("log")
        plain_ticks(axes.xaxis)
    if panel.log_y:
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)
    _limit(axes, panel)
    if panel.categories:
        axes.tick_params(axis="y", labelsize=4)
    if panel.words:
        _words(axes, panel.words)
    if panel.ticks:
        axes.set_xticks(tick_places(panel.ticks, panel.zero_at), labels=tick_texts(panel.ticks))
        axes.minorticks_off()
    if panel.zero_at is not None:
        axes.axvline(break_at(panel.zero_at), color="#999999", linewidth=0.6, linestyle=":")


def _limit(axes: Axes, panel: Panel) -> None:
    if panel.zero_x and not panel.log_x:
        axes.set_xlim(_from_zero(axes.get_xlim()[1] if axes.dataLim.xmax > 0 else 1))
    if panel.zero_y and not panel.log_y:
        axes.set_ylim(_from_zero(axes.get_ylim()[1] if axes.dataLim.ymax > 0 else 1))
    if panel.limits:
        axes.set_ylim(panel.limits)


def _from_zero(end: float) -> tuple[float, float]:
    """An axis from 0 on which marks at 0 are whole."""
    return -0.02 * end, end


def _words(axes: Axes, words: Sequence[str]) -> None:
    """As many words below the horizontal axis as can be read."""
    every = -(-len(words) // _WORDS)
    shown = range(0, len(words), every)
    axes.set_xticks(shown, labels=[shortened(words[at]) for at in shown], rotation=45, ha="right", fontsize=5)
    axes.set_xlim(-0.5, len(words) - 0.5)


def plain_ticks(axis: Axis) -> None:
    """Few ticks of a logarithmic axis in plain numbers, however few decades it spans; 0 among them if it has one."""
    low, high = axis.get_view_interval()
    transform = axis.get_transform()
    if isinstance(transform, SymmetricalLogTransform):
        axis.set_major_locator(FixedLocator(_powers(low, high, transform.linthresh)))
    else:
        several = LogLocator(subs=(1, 3) if high < 1e3 * low else (1,))
        axis.set_major_locator(MaxNLocator(4) if high < 10 * low else several)
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_texts([value])[0]))
    axis.set_minor_locator(NullLocator())


def _powers(low: float, high: float, least: float) -> list[float]:
    """0, and powers of ten on either side of it."""
    first = math.ceil(math.log10(least) - 1e-9)
    last = math.floor(math.log10(max(abs(low), abs(high), least)))
    powers = [10.0**power for power in range(first, last + 1)]
    return [tick for tick in (*(-power for power in reversed(powers)), 0.0, *powers) if low <= tick <= high]


def _legend(figure: Figure, names: list[str]) -> None:
    """All names below the curves, in as many columns as they leave room for, on a figure that is the taller for it."""
    shown: dict[str, Any] = {}
    for axes in figure.axes:
        handles, drawn = axes.get_legend_handles_labels()
        shown |= dict(zip(drawn, handles, strict=True))
    named = {name: shown[name] for name in names if name in shown}
    most = min(_COLUMNS, -(-len(named) // 3))
    for columns, letters in [*((fewer, _LETTERS[0]) for fewer in range(most, 1, -1)), *((1, n) for n in _LETTERS)]:
        words = [textwrap.fill(name, letters) for name in named]
        legend = figure.legend(named.values(), words, loc="outside lower center", ncols=columns)
        taken = legend.get_window_extent()
        if taken.width <= figure.bbox.width:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + taken.height / figure.dpi)


def _phase(phase: Phase) -> Figure:
    """The first measurement over the first two axes, and coverage below it."""
    measures = list(dict.fromkeys([phase.measures[0], *(name for name in phase.measures if name == "coverage")]))
    figure = Figure(figsize=(_WIDTH, 2.6 * len(measures)), layout="constrained")
    for at, measure in enumerate(measures):
        _heatmap(figure, figure.add_subplot(len(measures), 1, at + 1), phase, measure)
    return figure


def _heatmap(figure: Figure, axes: Axes, phase: Phase, measure: str) -> None:
    x, y = phase.axes[:2]
    mean = _pivot(phase.table, x, y, measure)
    # Nothing but zeros has a scale from 0, as an axis would.
    share = look_up(measure, phase.columns).is_share
    ends = (0, 1) if share or not mean.fillna(0).to_numpy(float).any() else (None, None)
    image = axes.imshow(mean.to_numpy(float), origin="lower", aspect="auto", cmap="viridis", vmin=ends[0], vmax=ends[1])
    axes.set_xticks(range(mean.shape[1]), labels=value_texts(mean.columns), rotation=45, ha="right")
    axes.set_yticks(range(mean.shape[0]), labels=value_texts(mean.index))
    axes.set(xlabel=label(x, phase.columns), ylabel=label(y, phase.columns))
    figure.colorbar(image, ax=axes, label=label(measure, phase.columns))


def _pivot(table: pd.DataFrame, x: str, y: str, measure: str) -> pd.DataFrame:
    """Averages over the grid points that share both coordinates, weighted by their networks."""
    weights = table["networks"]
    summed = table.assign(total=table[measure] * weights, weight=weights.where(table[measure].notna()))
    grid = summed.pivot_table(index=y, columns=x, values=["total", "weight"], aggfunc="sum")
    return pd.DataFrame(grid["total"] / grid["weight"])


def _slides(slides: Slides) -> Figure:
    network = slides.networks[0]
    figure = Figure(figsize=(_WIDTH, 3.6), layout="constrained")
    figure.suptitle(network.name, fontsize=7, wrap=True)
    columns: Mapping[str, np.ndarray] = {"W": network.weights, "W Wᵀ": network.products}
    for row, step in enumerate((0, -1)):
        for column, (name, values) in enumerate(columns.items()):
            axes = figure.add_subplot(2, 2, 2 * row + column + 1)
            most = largest(values)
            image = axes.imshow(values[step], cmap=_SIGNS, vmin=-most, vmax=most, aspect="auto")
            axes.set_title(f"{name}, step {network.steps[step]}", fontsize=7)
            axes.set(xlabel="neuron" if column == 0 else "feature", ylabel="feature", xticks=[], yticks=[])
            figure.colorbar(image, ax=axes)
    return figure
