import numpy as np
import pandas as pd

from polysemantic.report.charts import Chart, Section, Series
from polysemantic.report.groups import panels
from polysemantic.report.labels import heading, label
from polysemantic.report.material import Material
from polysemantic.report.over_training import POINTS, band, history_table, limit_note
from polysemantic.report.sources import Point
from polysemantic.results.glossary import glossary
from polysemantic.results.predictions import L1_NORM, SPARSITY, unmet_anywhere

_COLUMNS = ["sparsity_count", "l1_norm"]
_LAWS = (SPARSITY, L1_NORM)
_LAW_TEXT = f"{' and '.join(law.formula for law in _LAWS)}, at least 1,"
_DRAWN = f"Dashed: {_LAW_TEXT} where they hold: they assume {SPARSITY.assumes}. They give slopes; prefactors differ."


def sparsification(material: Material) -> Section | None:
    """How features gather on single neurons under L1, against the laws where they apply."""
    found = {}
    views = {}
    for point in material.shown_points(POINTS):
        rows = point.table("history")
        if rows is not None and set(_COLUMNS) <= set(rows) and point.setup.l1 > 0 and rows["step"].nunique() > 2:
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
    table = history_table(found, _COLUMNS)
    words = glossary(_COLUMNS)
    chart = Chart("sparsification", f"{title}: {material.description}", axes, views, table, words=words)
    drawn = any(series.kind == "theory" for view in views.values() for series in view)
    missing = ", ".join(unmet_anywhere(SPARSITY, (point.setup for point in material.shown_points(POINTS))))
    text = _DRAWN if drawn else f"The laws, {_LAW_TEXT} are not drawn: they assume {missing}."
    left = limit_note(material, found=views, lacking="an L1 penalty or a history")
    return Section(title, [text, *_ratios(views), *left], [chart])


def _curves(point: Point, rows: pd.DataFrame, panel: int) -> list[Series]:
    measured = band(rows, _COLUMNS[panel], panel)
    law = _LAWS[panel]
    if not law.holds(point.setup):
        return measured
    steps = [int(step) for step in np.asarray(measured[0].x)]
    expected = [law.at(point.setup, step) for step in steps]
    return [*measured, Series(f"theory, {label(_COLUMNS[panel])}", "theory", steps, expected, panel=panel)]


def _ratios(views: dict[str, list[Series]]) -> list[str]:
    """The largest ratio of measured to predicted neurons per feature."""
    ratios = [
        float(np.nanmax(np.asarray(series[0].y) / np.asarray(series[1].y)))
        for series in views.values()
        if len(series) > 1 and series[1].kind == "theory"
    ]
    return [f"{label(_COLUMNS[0]).capitalize()} reaches up to {max(ratios):.2g} times the law."] if ratios else []
