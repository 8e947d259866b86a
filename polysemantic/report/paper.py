"""Charts for print: as wide as a column, colours that all can tell apart, text that stays text."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from polysemantic.report.charts import Chart, Panel, Phase, Series, Slides
from polysemantic.report.labels import MARKERS, PALETTE, THEORY, label, value_text

# Inches: a column of a two-column paper.
_WIDTH = 3.35
_STYLE: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "font.size": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.fontsize": 6,
}
_LEGEND = 12


def draw(chart: Chart | Phase | Slides) -> dict[str, bytes]:
    """A chart as PDF and PNG, by file name; of several views the first, of a slider the first and the last step."""
    with mpl.rc_context(_STYLE):
        figure = _figure(chart)
        figure.draw_without_rendering()
        # Once is enough: arranging the parts costs more than drawing them.
        figure.set_layout_engine("none")
        return {f"{chart.key}.{kind}": _saved(figure, kind) for kind in ("pdf", "png")}


def _saved(figure: Figure, kind: str) -> bytes:
    content = io.BytesIO()
    # Without a date, equal results make equal files.
    dated = {"CreationDate": None} if kind == "pdf" else None
    figure.savefig(content, format=kind, dpi=300, metadata=dated)
    return content.getvalue()


def _figure(chart: Chart | Phase | Slides) -> Figure:
    if isinstance(chart, Phase):
        return _phase(chart)
    return _slides(chart) if isinstance(chart, Slides) else _curves(chart)


def _curves(chart: Chart) -> Figure:
    rows = len(chart.panels)
    name, series = next(iter(chart.views.items()))
    tall = 4.2 if chart.panels[0].categories else 2.1
    figure = Figure(figsize=(_WIDTH, tall * rows), layout="constrained")
    for at, panel in enumerate(chart.panels):
        axes = figure.add_subplot(rows, 1, at + 1)
        for one in series:
            if one.panel == at:
                _series(axes, one, panel)
        _finish(axes, panel)
    if name:
        figure.axes[0].set_title(name, loc="left", fontsize=7, wrap=True)
    _legend(figure)
    return figure


def _series(axes: Axes, series: Series, panel: Panel) -> None:
    colour = PALETTE[series.colour % len(PALETTE)]
    marker = MARKERS[series.colour % len(MARKERS)]
    x, y = _numbers(series.x), series.y if panel.categories else _numbers(series.y)
    if series.kind == "life":
        _strokes(axes, series, colour)
    elif series.kind == "points":
        axes.plot(x, y, marker, color=colour, alpha=0.35, markersize=2.5, label=f"_{series.name}", mew=0)
    elif series.kind == "mark":
        axes.plot(x, y, marker, color=colour, markeredgecolor="white", mew=0.4, markersize=4, label=series.name)
    elif series.kind == "mean":
        _mean(axes, series, colour, marker)
    else:
        theory = series.kind == "theory"
        colour = THEORY[series.colour % len(THEORY)] if theory else colour
        style = ("--", ":")[series.colour % 2] if theory else "-"
        steps = "steps-post" if series.kind == "line" else "default"
        axes.plot(x, y, style, color=colour, label=series.name, drawstyle=steps)
        if series.low is not None and series.high is not None:
            axes.fill_between(x, series.low, series.high, color=colour, alpha=0.2, linewidth=0)


def _mean(axes: Axes, series: Series, colour: str, marker: str) -> None:
    assert series.low is not None
    assert series.high is not None
    y = np.array(series.y, dtype=float)
    reach = np.abs([y - series.low, np.array(series.high) - y])
    axes.errorbar(_numbers(series.x), y, reach, fmt=f"{marker}-", color=colour, capsize=2, label=series.name)


def _strokes(axes: Axes, series: Series, colour: str) -> None:
    shown = [(x, y) for x, y in zip(series.x, series.y, strict=True) if y is not None]
    for at, ((start, place), (stop, _)) in enumerate(zip(shown[::2], shown[1::2], strict=True)):
        axes.plot([start, stop], [place, place], color=colour, linewidth=2, label=series.name if at == 0 else None)


def _numbers(values: Any) -> Any:
    """Numbers with nan for what is missing; words as they are."""
    words = any(isinstance(value, str) for value in values)
    return list(values) if words else [np.nan if value is None else float(value) for value in values]


def _finish(axes: Axes, panel: Panel) -> None:
    axes.set(xlabel=panel.x, ylabel=panel.y)
    if panel.log_x:
        axes.set_xscale("log")
    if panel.log_y:
        axes.set_yscale("log")
    if panel.categories:
        axes.tick_params(axis="y", labelsize=4)
    if panel.ticks:
        axes.set_xticks(panel.ticks, labels=[value_text(tick) for tick in panel.ticks])
        axes.minorticks_off()


def _legend(figure: Figure) -> None:
    handles = [axes.get_legend_handles_labels() for axes in figure.axes]
    named = {name: handle for shown, names in handles for handle, name in zip(shown, names, strict=True)}
    # A longer legend would leave no room for the curves.
    if 0 < len(named) <= _LEGEND:
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=1 if len(named) < 4 else 2)


def _phase(phase: Phase) -> Figure:
    x, y, measure = phase.axes[0], phase.axes[1], phase.measures[0]
    weights = phase.table["networks"]
    summed = phase.table.assign(
        total=phase.table[measure] * weights, weight=weights.where(phase.table[measure].notna())
    )
    grid = summed.pivot_table(index=y, columns=x, values=["total", "weight"], aggfunc="sum")
    mean = grid["total"] / grid["weight"]
    figure = Figure(figsize=(_WIDTH, 2.6), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(mean.to_numpy(dtype=float), origin="lower", aspect="auto", cmap="viridis")
    axes.set_xticks(range(mean.shape[1]), labels=[value_text(value) for value in mean.columns], rotation=45, ha="right")
    axes.set_yticks(range(mean.shape[0]), labels=[value_text(value) for value in mean.index])
    axes.set(xlabel=label(x), ylabel=label(y))
    figure.colorbar(image, ax=axes, label=label(measure))
    return figure


def _slides(slides: Slides) -> Figure:
    network = slides.networks[0]
    figure = Figure(figsize=(_WIDTH, 3.4), layout="constrained")
    columns: Mapping[str, np.ndarray] = {"W": network.weights, "W Wᵀ": network.products}
    for row, step in enumerate((0, -1)):
        for column, (name, values) in enumerate(columns.items()):
            axes = figure.add_subplot(2, 2, 2 * row + column + 1)
            largest = float(np.abs(values).max()) or 1.0
            image = axes.imshow(values[step], cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
            axes.set_title(f"{name}, step {network.steps[step]}", fontsize=7)
            axes.set(xlabel="neuron" if column == 0 else "feature", ylabel="feature", xticks=[], yticks=[])
            figure.colorbar(image, ax=axes)
    return figure
