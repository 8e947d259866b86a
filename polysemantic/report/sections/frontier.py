import pandas as pd

from polysemantic.report.charts import Chart, Section, Series
from polysemantic.report.groups import (
    has,
    numbers,
    panels,
    positions,
    spans_decades,
    split,
    statistics,
    thinned,
    thinning_note,
)
from polysemantic.report.labels import counted, heading, label
from polysemantic.report.material import Material
from polysemantic.report.scales import is_number
from polysemantic.results.glossary import glossary

_X, _Y = "polysemantic_neurons", ["loss", "coverage"]


def frontier(material: Material) -> Section | None:
    """Loss against polysemanticity, traced along one axis."""
    if not has(material, _X, *_Y) or len(material.results) < 2:
        return None
    numeric = [axis for axis in material.axes if is_number(material.results[axis])]
    along = "l1" if "l1" in numeric else next(iter(numeric), None)
    by = [axis for axis in material.axes if axis != along]
    title = f"{heading(_Y[0]).capitalize()} against {heading(_X)}"
    series = [
        curve
        for colour, (name, rows) in enumerate(split(material, by, material.results.dropna(subset=[_X])))
        for panel in range(len(_Y))
        for curve in _trace(material, name, rows, along, colour, panel)
    ]
    keys = material.axes or ["run"]
    table = pd.concat([statistics(material.results, keys, name).assign(measurement=name) for name in [_X, *_Y]])
    axes = panels(_X, _Y, log_y=spans_decades(material.results[_Y[0]]), spread="points")
    text = f"A line joins the means along {label(along)}." if along else "Each point is a network."
    text += " Networks of one count stand side by side."
    chart = Chart("frontier", f"{title}: {material.description}", axes, {"": series}, table)
    chart.words = glossary([_X, *_Y])
    return Section(title, [text, *thinning_note(material)], [chart])


def _trace(
    material: Material, name: str, rows: pd.DataFrame, along: str | None, colour: int, panel: int
) -> list[Series]:
    column = _Y[panel]
    single = thinned(material, rows)
    records = single[["seed", *material.axes]].to_dict("records")
    detail = [f"{material.point_label(row)}, seed {row['seed']}" for row in records]
    x, y = numbers(single[_X]), numbers(single[column])
    points = Series(name, "points", x, y, colour=colour, panel=panel, detail=detail)
    if along is None:
        return [points]
    at = rows.groupby(along, sort=True)[_X].mean()
    means = statistics(rows.dropna(subset=[along]), [along], column)
    told = [
        f"{label(along)} {value:g}, mean of {counted(count, 'network')}"
        for value, count in zip(at.index, means["networks"], strict=True)
    ]
    low, mean, high = (numbers(means[name]) for name in ("low", "mean", "high"))
    return [points, Series(name, "mean", positions(at), mean, low, high, colour, panel, detail=told)]
