import pandas as pd

from polysemantic.functional import effective_weight, fourth_norm_null, participation_ratio_null
from polysemantic.report.charts import Chart, Section, Series
from polysemantic.report.groups import panels
from polysemantic.report.labels import heading, label
from polysemantic.report.material import Material
from polysemantic.report.over_training import NO_HISTORY, POINTS, band, histories, history_table, limit_note
from polysemantic.report.sources import Point
from polysemantic.results.glossary import glossary

_COLUMNS = ["fourth_norm", "participation_ratio"]
_SNAPSHOTS = 12
_NULL = "random rotations"


def basis(material: Material) -> Section | None:
    """How special the neurons' basis is, against random rotations of the same weights."""
    found = histories(material, _COLUMNS)
    nulls = {point.label: _nulls(point) for point in material.shown_points(POINTS) if point.label in found}
    if not found:
        return None
    views = {
        name: [s for panel, column in enumerate(_COLUMNS) for s in (*band(rows, column, panel), *nulls[name][panel])]
        for name, rows in found.items()
    }
    title = f"{' and '.join(heading(column) for column in _COLUMNS).capitalize()} against their rotation null"
    axes = panels("step", _COLUMNS)
    table = pd.concat([history_table(found, _COLUMNS), *(_null_table(name, s) for name, s in nulls.items())])
    chart = Chart("basis", f"{title}: {material.description}", axes, views, table)
    chart.words = glossary(_COLUMNS)
    text = (
        "Dashed: what the same weights would give under random rotations of the neurons, exact for the fourth norm "
        "(mean and two standard deviations, from the weights of one network), by simulation for the participation "
        "ratio. Where the measured curve stays on it, the neurons are no special basis."
    )
    return Section(title, [text, *limit_note(material, found=found, lacking=NO_HISTORY)], [chart])


def _nulls(point: Point) -> tuple[list[Series], list[Series]]:
    """The null of the fourth norm and that of the participation ratio, over training."""
    kept = point.snapshots(_SNAPSHOTS)
    if kept is None:
        return [], []
    steps = list(kept[1])
    nulls = [fourth_norm_null(effective_weight(w["W_enc"], w.get("W_dec"))) for w in kept[1].values()]
    mean = [float(null.mean) for null in nulls]
    reach = [2 * float(null.variance.sqrt()) for null in nulls]
    low = [max(0.0, m - r) for m, r in zip(mean, reach, strict=True)]
    high = [m + r for m, r in zip(mean, reach, strict=True)]
    ratio = participation_ratio_null(next(iter(kept[1].values()))["W_enc"].shape[-1])
    return (
        [Series(f"{_NULL}, {label(_COLUMNS[0])}", "theory", steps, mean, low, high)],
        [Series(f"{_NULL}, {label(_COLUMNS[1])}", "theory", steps, [ratio] * len(steps), colour=1, panel=1)],
    )


def _null_table(name: str, series: tuple[list[Series], list[Series]]) -> pd.DataFrame:
    tables = [
        pd.DataFrame({"step": s.x, "mean": s.y, "low": s.low, "high": s.high}).assign(measurement=s.name)
        for of_panel in series
        for s in of_panel
    ]
    return pd.concat(tables).assign(networks_of=name) if tables else pd.DataFrame()
