"""Curves and points as plotly draws them on the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polysemantic.report.charts import Panel, Series, Value
from polysemantic.report.labels import DASHES, PALETTE, SYMBOLS, THEORY, look, markup, value_text
from polysemantic.report.placing import apart, places
from polysemantic.report.plain import Json, plain, scalar

# Marks at the ends of an axis are not cut in half.
_WHOLE: Json = {"cliponaxis": False}


def axis(number: int) -> str:
    """What plotly has behind the `x` or `y` of a panel's axis."""
    return "" if number == 0 else str(number + 1)


def traces(series: Sequence[Series], panels: Sequence[Panel]) -> list[Json]:
    """The curves of a view; each name stands in the legend once."""
    series = [apart(one, panels[one.panel]) for one in series]
    # Faint points stand in the legend only where nothing of their name is drawn more clearly.
    drawn = {one.name for one in series if one.kind != "points"}
    named: set[str] = set()
    made = []
    for one, where in zip(series, places(series, panels), strict=True):
        shown = one.name not in named and not (one.kind == "points" and one.name in drawn)
        named |= {one.name} if shown else set()
        *areas, curve = _trace(one, panels[one.panel], where)
        made += [*(area | {"showlegend": False} for area in areas), curve | {"showlegend": shown}]
    return made


def _trace(series: Series, panel: Panel, where: Sequence[Value]) -> list[Json]:
    trace: Json = {
        "type": "scatter",
        "name": markup(series.name),
        "legendgroup": series.name,
        "x": plain(where),
        "y": plain(series.y),
        "xaxis": f"x{axis(series.panel)}",
        "yaxis": f"y{axis(series.panel)}",
        "hovertemplate": _hover(series, panel),
    }
    # What is moved aside is told by its value, and not by its place.
    told = [[markup(x) if isinstance(x, str) else scalar(x)] for x in series.x]
    details = [[markup(text)] for text in series.detail] if series.detail is not None else [[]] * len(told)
    trace["customdata"] = [x + detail for x, detail in zip(told, details, strict=True)]
    shape = _SHAPES[series.kind](series)
    band = _band(series, trace) if series.kind in ("band", "theory") and series.low is not None else []
    return [*band, trace | shape]


def _hover(series: Series, panel: Panel) -> str:
    interval = series.low is not None
    ends = "<br>95 % interval or spread %{text}" if interval and series.kind != "points" else ""
    x = "%{customdata[0]}" if any(isinstance(value, str) for value in series.x) else "%{customdata[0]:.5~g}"
    y = "%{y}" if panel.categories else "%{y:.5~g}"
    more = "<br>%{customdata[1]}" if series.detail is not None else ""
    return f"<b>%{{fullData.name}}</b><br>{markup(panel.x)}: {x}<br>{markup(panel.y)}: {y}{ends}{more}<extra></extra>"


def _interval_text(series: Series) -> list[str]:
    if series.low is None or series.high is None:
        return []
    return [f"{value_text(low)} to {value_text(high)}" for low, high in zip(series.low, series.high, strict=True)]


def _points(series: Series) -> Json:
    return {"mode": "markers", "marker": _symbol(series) | {"size": 5, "opacity": 0.45}} | _WHOLE


def _symbol(series: Series) -> Json:
    colour, symbol = look(series.colour)
    return {"color": PALETTE[colour], "symbol": SYMBOLS[symbol]}


def _mean(series: Series) -> Json:
    marker = _symbol(series) | {"size": 9}
    colour = marker["color"]
    # Words are in no order that a line could follow.
    mode = "markers" if any(isinstance(x, str) for x in series.x) else "lines+markers"
    style = {"mode": mode, "marker": marker, "line": {"color": colour}, "zorder": 1} | _WHOLE
    if series.low is None or series.high is None:
        return style
    y = np.array(series.y, dtype=float)
    up, down = np.array(series.high) - y, y - np.array(series.low)
    ends = {"array": plain(up.tolist()), "arrayminus": plain(down.tolist()), "symmetric": False}
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
    x, y = [*trace["x"], *reversed(trace["x"])], [*series.low, *reversed(series.high)]
    return [where | area | {"x": plain(x), "y": plain(y), "hoverinfo": "skip"}]
