from typing import Any

import numpy as np
import pandas as pd

from polysemantic.report.charts import Chart, Section, Series
from polysemantic.report.groups import panels
from polysemantic.report.labels import heading, label
from polysemantic.report.material import Material
from polysemantic.report.over_training import POINTS, band, history_table, limit_note
from polysemantic.report.sources import Point
from polysemantic.theory import l1_norm_law, law_rate, paper_lambda, paper_time, sparsity_law

_COLUMNS = ["sparsity_count", "l1_norm"]
_LAWS = (sparsity_law, l1_norm_law)
_LAW_TEXT = "1/(1/√m + λt)² and 1/(1/√m + λt), at least 1,"
_WHERE = (
    "tied weights and linear hidden units, without noise or bias, under plain SGD (no momentum, weight decay, schedule "
    "or clipping) on every one-hot input per step, for which they are derived and the paper's time t is known"
)
_DRAWN = f"Dashed: {_LAW_TEXT} drawn for {_WHERE}. The laws give slopes; prefactors differ."
_NOT_DRAWN = f"The laws, {_LAW_TEXT} are not drawn: none of these runs has {_WHERE}."


def sparsification(material: Material) -> Section | None:
    """How features gather on single neurons under L1, against the laws where they apply."""
    found = {}
    views = {}
    for point in material.shown_points(POINTS):
        rows = point.table("history")
        if rows is not None and set(_COLUMNS) <= set(rows) and _number(point, "l1") > 0 and rows["step"].nunique() > 2:
            rows = rows[rows["step"] > 0]
            series = [s for panel in range(2) for s in _curves(point, rows, panel)]
            # Networks that diverged at once leave nothing to draw.
            if len(series[0].y):
                found[point.label], views[point.label] = rows, series
    if not found:
        return None
    title = f"Sparsification: {heading(_COLUMNS[0])} and {heading(_COLUMNS[1])}"
    axes = panels("step", _COLUMNS, log_x=True, log_y=True)
    axes[1].log_y = True
    chart = Chart("sparsification", f"{title}: {material.description}", axes, views, history_table(found, _COLUMNS))
    drawn = any(series.kind == "theory" for view in views.values() for series in view)
    return Section(title, [_DRAWN if drawn else _NOT_DRAWN, *_ratios(views), *limit_note(material)], [chart])


def _curves(point: Point, rows: pd.DataFrame, panel: int) -> list[Series]:
    measured = band(rows, _COLUMNS[panel], panel)
    rate = _learning_rate(point)
    if rate is None:
        return measured
    steps = np.asarray(measured[0].x)
    n, m = (int(point.source.results[name].iloc[0]) for name in ("n_features", "n_hidden"))
    times = np.array([paper_time(rate, int(step), n) for step in steps])
    law = _LAWS[panel](times, m, paper_lambda(_number(point, "l1")))
    return [*measured, Series(f"theory, {label(_COLUMNS[panel])}", "theory", steps.tolist(), law.tolist(), panel=panel)]


def _number(point: Point, name: str) -> float:
    """A number of the model, which may vary."""
    results = point.source.results
    if name in results:
        return float(results[results["instance"].isin(point.instances)][name].iloc[0])
    return float(point.source.config["model"].get(name) or 0)


def _learning_rate(point: Point) -> float | None:
    """That of a run that the laws are about, by its configuration; None for any other."""
    model, data = point.source.config["model"], point.source.config["data"]
    optimizer = model.get("optimizer") or {}
    inputs = data.get("init_args") or {}
    whole = inputs.get("batch_size") is None and inputs.get("magnitude", "one") == "one"
    return law_rate(
        every_feature_once=_name(data) == "OneHot" and whole,
        tied=model.get("tied", True),
        act=model.get("act", "linear"),
        optimizer=_name(optimizer),
        options=(optimizer.get("init_args") or {}) | {"initial_lr": model.get("lr_scheduler")},
        noise_std=_number(point, "noise_std"),
        bias=model.get("bias", False),
        clip_norm=model.get("clip_norm"),
    )


def _name(part: dict[str, Any]) -> str:
    return str(part.get("class_path")).rpartition(".")[2]


def _ratios(views: dict[str, list[Series]]) -> list[str]:
    """The largest ratio of measured to predicted neurons per feature."""
    ratios = [
        float(np.nanmax(np.asarray(series[0].y) / np.asarray(series[1].y)))
        for series in views.values()
        if len(series) > 1 and series[1].kind == "theory"
    ]
    return [f"{label(_COLUMNS[0]).capitalize()} reaches up to {max(ratios):.2g} times the law."] if ratios else []
