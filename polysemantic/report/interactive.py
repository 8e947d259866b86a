"""Charts as data for the page's script: what plotly draws, and what choices and sliders need."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from polysemantic.report.charts import Chart, Matrices, Panel, Phase, Series, Slides, largest
from polysemantic.report.labels import DASHES, PALETTE, SYMBOLS, THEORY, label, look, markup, value_text
from polysemantic.results.columns import look_up

Json = dict[str, Any]

_GAP = 0.09
# Every tick of a logarithmic axis is a number to read: no bare digits, no "n" for a billionth, and few of them.
_LOG: Json = {"tickformat": "~g", "nticks": 3}
# Pixels across that a legend has, and rows of it that make a chart taller.
_LINE, _ROWS = 1080, 12
# Marks at the ends of an axis are not cut in half.
_WHOLE: Json = {"cliponaxis": False}


def payload(chart: Chart | Phase | Slides) -> Json:
    """Everything the page's script needs to draw a chart, as plain values for JSON."""
    common = {"key": chart.key, "title": chart.title}
    if isinstance(chart, Phase):
        return common | {"kind": "phase"} | _phase(chart)
    if isinstance(chart, Slides):
        return common | {"kind": "slides", "networks": [_matrices(network) for network in chart.networks]}
    return common | {
        "kind": "chart",
        "chooser": chart.chooser,
        "views": [{"label": name, "traces": _traces(series, chart.panels)} for name, series in chart.views.items()],
        "layout": _layout(chart),
        "table": table(chart.table),
    }


def table(frame: pd.DataFrame) -> Json:
    """A table by columns, its numbers shortened to six digits."""
    return {"columns": list(map(str, frame.columns)), "values": [_plain(frame[name].tolist()) for name in frame]}


def _plain(values: Sequence[Any]) -> list[Any]:
    return [_scalar(value) for value in values]


def _scalar(value: Any) -> Any:
    if value is None or value is pd.NA or isinstance(value, (str, bool)):
        return None if value is pd.NA else value
    number = float(value)
    if not math.isfinite(number):
        return None
    short = float(f"{number:.6g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _axis(number: int) -> str:
    return "" if number == 0 else str(number + 1)


def _traces(series: list[Series], panels: list[Panel]) -> list[Json]:
    # Faint points stand in the legend only where nothing of their name is drawn more clearly.
    drawn = {one.name for one in series if one.kind != "points"}
    named: set[str] = set()
    traces = []
    for one in series:
        shown = one.name not in named and not (one.kind == "points" and one.name in drawn)
        named |= {one.name} if shown else set()
        *areas, curve = _trace(one, panels[one.panel])
        traces += [*(area | {"showlegend": False} for area in areas), curve | {"showlegend": shown}]
    return traces


def _trace(series: Series, panel: Panel) -> list[Json]:
    trace: Json = {
        "type": "scatter",
        "name": markup(series.name),
        "legendgroup": series.name,
        "x": [markup(x) if isinstance(x, str) else _scalar(x) for x in series.x],
        "y": _plain(series.y),
        "xaxis": f"x{_axis(series.panel)}",
        "yaxis": f"y{_axis(series.panel)}",
        "hovertemplate": _hover(series, panel),
    }
    if series.detail is not None:
        trace["customdata"] = [markup(text) for text in series.detail]
    shape = _SHAPES[series.kind](series)
    band = _band(series, trace) if series.kind in ("band", "theory") and series.low is not None else []
    return [*band, trace | shape]


def _hover(series: Series, panel: Panel) -> str:
    interval = series.low is not None
    ends = "<br>95 % interval or spread %{text}" if interval and series.kind != "points" else ""
    x = "%{x:.5~g}" if all(not isinstance(value, str) for value in series.x) else "%{x}"
    y = "%{y}" if panel.categories else "%{y:.5~g}"
    more = "<br>%{customdata}" if series.detail is not None else ""
    return f"<b>%{{fullData.name}}</b><br>{markup(panel.x)}: {x}<br>{markup(panel.y)}: {y}{ends}{more}<extra></extra>"


def _interval_text(series: Series) -> list[str]:
    if series.low is None or series.high is None:
        return []
    return [f"{value_text(low)} to {value_text(high)}" for low, high in zip(series.low, series.high, strict=True)]


def _points(series: Series) -> Json:
    return {"mode": "markers", "marker": _symbol(series) | {"size": 6, "opacity": 0.4}} | _WHOLE


def _symbol(series: Series) -> Json:
    colour, symbol = look(series.colour)
    return {"color": PALETTE[colour], "symbol": SYMBOLS[symbol]}


def _mean(series: Series) -> Json:
    marker = _symbol(series) | {"size": 9}
    colour = marker["color"]
    # Words are in no order that a line could follow.
    mode = "markers" if any(isinstance(x, str) for x in series.x) else "lines+markers"
    style = {"mode": mode, "marker": marker, "line": {"color": colour}} | _WHOLE
    if series.low is None or series.high is None:
        return style
    y = np.array(series.y, dtype=float)
    up, down = np.array(series.high) - y, y - np.array(series.low)
    ends = {"array": _plain(up.tolist()), "arrayminus": _plain(down.tolist()), "symmetric": False}
    errors = {"type": "data", **ends, "color": colour, "thickness": 1.5}
    return style | {"error_y": errors, "text": _interval_text(series)}


def _line(series: Series) -> Json:
    line = {"color": PALETTE[series.colour % len(PALETTE)], "shape": "hv", "dash": DASHES[series.dash]}
    return {"mode": "lines", "line": line}


def _curve(series: Series) -> Json:
    line = {"color": PALETTE[series.colour % len(PALETTE)]}
    return {"mode": "lines", "line": line, "text": _interval_text(series)}


def _theory(series: Series) -> Json:
    dash = ("dash", "dot")[series.colour % 2]
    line = {"color": THEORY[series.colour % len(THEORY)], "dash": dash}
    return {"mode": "lines", "line": line, "text": _interval_text(series)}


def _life(series: Series) -> Json:
    line = {"color": PALETTE[series.colour % len(PALETTE)], "width": 6}
    return {"mode": "lines", "line": line, "connectgaps": False}


def _mark(series: Series) -> Json:
    return {
        "mode": "markers",
        "marker": _symbol(series) | {"size": 11, "line": {"color": "white", "width": 1}},
        "zorder": 1,
    } | _WHOLE


_SHAPES = {
    "points": _points,
    "mean": _mean,
    "line": _line,
    "band": _curve,
    "theory": _theory,
    "life": _life,
    "mark": _mark,
}


def _band(series: Series, trace: Json) -> list[Json]:
    """The area between low and high, as one closed curve."""
    assert series.low is not None
    assert series.high is not None
    colour = THEORY[0] if series.kind == "theory" else PALETTE[series.colour % len(PALETTE)]
    area = {"mode": "lines", "fill": "toself", "fillcolor": colour, "opacity": 0.2, "line": {"width": 0}}
    where = {name: trace[name] for name in ("type", "name", "legendgroup", "xaxis", "yaxis")}
    x, y = [*series.x, *reversed(series.x)], [*series.low, *reversed(series.high)]
    return [where | area | {"x": _plain(x), "y": _plain(y), "hoverinfo": "skip"}]


def _layout(chart: Chart) -> Json:
    width = (1 - _GAP * (len(chart.panels) - 1)) / len(chart.panels)
    layout: Json = {"height": chart.height + _room(chart), "showlegend": chart.legend}
    for at, panel in enumerate(chart.panels):
        start = at * (width + _GAP)
        y_kind = "category" if panel.categories else "log" if panel.log_y else "-"
        layout[f"xaxis{_axis(at)}"] = (
            {
                "title": {"text": markup(panel.x), "standoff": 10},
                "domain": [start, min(1.0, start + width)],
                "type": "category" if panel.words else "log" if panel.log_x else "-",
                "anchor": f"y{_axis(at)}",
                "automargin": True,
            }
            | (_LOG if panel.log_x else {})
            | (_words(panel) if panel.words else {})
            | ({"rangemode": "tozero"} if panel.categories or panel.zero_x else {})
            | ({"tickvals": panel.ticks} if panel.ticks else {})
        )
        layout[f"yaxis{_axis(at)}"] = {
            "title": {"text": markup(panel.y), "standoff": 10},
            "type": y_kind,
            "anchor": f"x{_axis(at)}",
            "automargin": True,
            "rangemode": "tozero" if panel.zero_y else "normal",
        }
        # Every word is told, however close they stand.
        layout[f"yaxis{_axis(at)}"] |= {"dtick": 1, "tickfont": {"size": 10}} if panel.categories else {}
        layout[f"yaxis{_axis(at)}"] |= (_LOG if panel.log_y else {}) | ({"range": panel.limits} if panel.limits else {})
    return layout


def _room(chart: Chart) -> int:
    """Pixels that a legend of many names takes, so that the curves keep theirs; of very many it scrolls."""
    if not chart.legend:
        return 0
    names = max(({one.name for one in series} for series in chart.views.values()), key=len)
    in_row = max(1, _LINE // (50 + 7 * max(map(len, names), default=0)))
    return 25 * min(_ROWS, max(0, -(-len(names) // in_row) - 1))


def _words(panel: Panel) -> Json:
    words = [markup(word) for word in panel.words]
    return {"tickangle": -40, "categoryarray": words, "range": [-0.5, len(words) - 0.5]}


def _phase(phase: Phase) -> Json:
    names = {column: label(column, phase.columns) for column in (*phase.axes, *phase.measures)}
    return {
        "table": table(phase.table),
        "axes": phase.axes,
        "measures": phase.measures,
        "labels": names,
        "coverage": "coverage" if "coverage" in phase.measures else None,
        "shares": [measure for measure in phase.measures if look_up(measure, phase.columns).is_share],
    }


def _matrices(network: Matrices) -> Json:
    return {
        "label": network.name,
        "steps": network.steps,
        "features": network.features,
        "neurons": network.neurons,
        "weights": _packed(network.weights),
        "products": _packed(network.products),
    }


def _packed(values: np.ndarray) -> Json:
    """Numbers as 16-bit steps between plus and minus the largest, five digits of it, in base64; -32768: not finite."""
    most = largest(values)
    steps = np.where(np.isfinite(values), np.round(values / most * 32767), -32768).astype("<i2")
    return {"largest": most, "data": base64.b64encode(steps.tobytes()).decode(), "columns": values.shape[-1]}
