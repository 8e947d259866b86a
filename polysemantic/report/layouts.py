"""The axes and the legend of a chart, as plotly takes them, for wide and for narrow windows."""

from __future__ import annotations

from collections.abc import Sequence

from polysemantic.report.charts import Chart, Panel, Value
from polysemantic.report.labels import markup
from polysemantic.report.plain import Json
from polysemantic.report.scales import break_at, round_ticks, shortened, tick_places, tick_texts
from polysemantic.report.traces import axis

# Between panels side by side, as a share of the width.
_GAP = 0.09
# Pixels that panels below one another have, and between them, where an axis has its numbers and its name.
_PANEL, _BETWEEN = 240, 100
# Every tick of a logarithmic axis is a number to read: no bare digits, no "n" for a billionth, and few of them.
_LOG: Json = {"tickformat": "~g", "nticks": 3}
# Pixels across that a legend has, and rows of it that make a chart taller.
_LINE, _ROWS = 1080, 12
# Words below an axis at most.
_WORDS = 40


def layout(chart: Chart) -> Json:
    """The panels side by side, and the legend below them."""
    width = (1 - _GAP * (len(chart.panels) - 1)) / len(chart.panels)
    made: Json = {"height": chart.height + _room(chart, _LINE), "showlegend": chart.legend, "shapes": _breaks(chart)}
    for at, panel in enumerate(chart.panels):
        start = at * (width + _GAP)
        ends = [start, min(1.0, start + width)]
        made[f"xaxis{axis(at)}"] = x_axis(panel) | {"domain": ends, "anchor": f"y{axis(at)}"}
        values = [value for view in chart.views.values() for one in view if one.panel == at for value in one.y]
        made[f"yaxis{axis(at)}"] = y_axis(panel, values) | {"anchor": f"x{axis(at)}"}
    return made


def narrow(chart: Chart) -> Json:
    """What is otherwise in a narrow window: the panels stand below one another, and the legend has one name a line."""
    number = len(chart.panels)
    whole = number * (_PANEL + _BETWEEN) - _BETWEEN
    made: Json = {"height": (chart.height if number == 1 else whole + _BETWEEN) + _room(chart, 1)}
    for at, panel in enumerate(chart.panels):
        top = 1 - at * (_PANEL + _BETWEEN) / whole
        ends = [max(0.0, round(top - _PANEL / whole, 6)), round(top, 6)]
        # A unit stands below its name: a label is no longer than its axis.
        x, y = (_title(name.replace(" (", "\n(")) for name in (panel.x, panel.y))
        made[f"xaxis{axis(at)}"] = {"domain": [0, 1], "title": x}
        made[f"yaxis{axis(at)}"] = {"domain": ends, "title": y}
    return made


def x_axis(panel: Panel) -> Json:
    """The horizontal axis of a panel."""
    made: Json = {
        "title": _title(panel.x),
        "type": "linear" if panel.words else "log" if panel.log_x else "-",
        "automargin": True,
    }
    if panel.words:
        return made | _words(panel)
    made |= _LOG if panel.log_x else {}
    made |= {"rangemode": "tozero"} if panel.categories or panel.zero_x else {}
    if panel.ticks:
        made |= {"tickvals": tick_places(panel.ticks, panel.zero_at), "ticktext": tick_texts(panel.ticks)}
    return made


def y_axis(panel: Panel, values: Sequence[Value]) -> Json:
    """The vertical axis of a panel for some values."""
    made: Json = {
        "title": _title(panel.y),
        "type": "category" if panel.categories else "log" if panel.log_y else "-",
        "automargin": True,
        "rangemode": "tozero" if panel.zero_y else "normal",
    }
    # Every word is told, however close they stand.
    made |= {"dtick": 1, "tickfont": {"size": 10}} if panel.categories else {}
    if panel.log_y:
        ticks = round_ticks(value for value in values if isinstance(value, (int, float)))
        made |= _LOG | ({"tickvals": ticks, "ticktext": tick_texts(ticks)} if len(ticks) > 1 else {})
    return made | ({"range": panel.limits} if panel.limits else {})


def _title(name: str) -> Json:
    return {"text": markup(name).replace("\n", "<br>"), "standoff": 10}


def _words(panel: Panel) -> Json:
    """As many words as can be read, at the places of their numbers."""
    every = -(-len(panel.words) // _WORDS)
    words = [markup(shortened(word)) for word in panel.words[::every]]
    ends = [-0.5, len(panel.words) - 0.5]
    return {"tickangle": -40, "tickvals": [*range(0, len(panel.words), every)], "ticktext": words, "range": ends}


def _breaks(chart: Chart) -> list[Json]:
    """A dotted line between 0 and the rest of each logarithmic axis that has a 0."""
    line = {"color": "#999999", "width": 1, "dash": "dot"}
    return [
        {"type": "line", "xref": f"x{axis(at)}", "yref": f"y{axis(at)} domain", "y0": 0, "y1": 1, "line": line}
        | dict.fromkeys(("x0", "x1"), break_at(panel.zero_at))
        for at, panel in enumerate(chart.panels)
        if panel.zero_at is not None
    ]


def _room(chart: Chart, line: int) -> int:
    """Pixels that a legend of many names takes, so that the curves keep theirs; of very many it scrolls."""
    if not chart.legend:
        return 0
    names = max(({one.name for one in series} for series in chart.views.values()), key=len)
    in_row = max(1, line // (50 + 7 * max(map(len, names), default=0)))
    return 25 * min(_ROWS, max(0, -(-len(names) // in_row) - 1))
