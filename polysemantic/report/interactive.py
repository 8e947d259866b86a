"""Charts as data for the page's script: what plotly draws, and what choices and sliders need."""

from __future__ import annotations

import base64

import numpy as np
import pandas as pd

from polysemantic.report.charts import Against, AnyChart, Chart, Matrices, Measured, Phase, Slides, largest
from polysemantic.report.labels import label, markup
from polysemantic.report.layouts import layout, narrow, y_axis
from polysemantic.report.placing import apart
from polysemantic.report.plain import Json, plain
from polysemantic.report.traces import traces
from polysemantic.results.columns import look_up

# What the page fills in by the measurement that is chosen.
_FILLED = ("y", "text", "customdata")


def payload(chart: AnyChart) -> Json:
    """Everything the page's script needs to draw a chart, as plain values for JSON."""
    common = {"key": chart.key, "title": chart.title}
    if isinstance(chart, Against):
        return common | {"kind": "against"} | _against(chart)
    if isinstance(chart, Phase):
        return common | {"kind": "phase"} | _phase(chart)
    if isinstance(chart, Slides):
        return common | {"kind": "slides", "networks": [_matrices(network) for network in chart.networks]}
    return common | {
        "kind": "chart",
        "chooser": chart.chooser,
        "views": [{"label": name, "traces": traces(series, chart.panels)} for name, series in chart.views.items()],
        "layout": layout(chart),
        "narrow": narrow(chart),
        "table": table(chart.table),
    }


def table(frame: pd.DataFrame) -> Json:
    """A table by columns, its numbers shortened to six digits."""
    return {"columns": list(map(str, frame.columns)), "values": [plain(frame[name].tolist()) for name in frame]}


def _against(against: Against) -> Json:
    return {
        "across": [_across(name, chart, against.points) for name, chart in against.charts.items()],
        "measures": [_measured(column, measured) for column, measured in against.measures.items()],
        "networks": [markup(text) for text in against.networks],
        "points": table(against.points),
    }


def _across(name: str, chart: Chart, points: pd.DataFrame) -> Json:
    """The curves against a setting without what is measured, and the other settings by which each can be chosen."""
    (series,) = chart.views.values()
    shown = []
    for one, trace in zip(series, traces(series, chart.panels), strict=True):
        more = {"of": one.kind, "rows": apart(one, chart.panels[one.panel]).rows}
        if one.kind == "theory":
            shown.append(trace | more)
            continue
        shown.append({key: value for key, value in trace.items() if key not in _FILLED} | more)
        shown[-1]["at"] = [value for value, *_ in trace["customdata"]]
    groups = {
        one.name: {
            str(column): str(values.iloc[0])
            for column, values in points.iloc[list(one.rows)].items()
            if column != name and values.nunique() == 1
        }
        for one in series
        if one.kind == "mean" and one.rows
    }
    return {"label": name, "traces": shown, "groups": groups, "layout": layout(chart), "narrow": narrow(chart)}


def _measured(column: str, measured: Measured) -> Json:
    means = measured.means
    return {
        "column": column,
        "label": measured.label,
        "networks": plain(measured.networks),
        **{name: plain(means[name].tolist()) for name in ("mean", "low", "high")},
        "counts": means["networks"].tolist(),
        "axis": y_axis(measured.panel, measured.networks),
        "words": measured.words,
    }


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
