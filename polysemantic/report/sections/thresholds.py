import numpy as np
import pandas as pd

from polysemantic.functional import threshold_sweep
from polysemantic.report.charts import Chart, Section, Series
from polysemantic.report.groups import panels
from polysemantic.report.labels import label
from polysemantic.report.material import Material
from polysemantic.report.over_training import POINTS, limit_note
from polysemantic.report.sources import Point
from polysemantic.results.glossary import glossary

_COLUMNS = ["polysemantic_neurons", "coverage"]
_THRESHOLDS = np.round(np.arange(0.05, 1.2001, 0.05), 2)


def thresholds(material: Material) -> Section | None:
    """How far the count hangs on the threshold from which a neuron carries a feature, with the coverage beside it."""
    found = {point.label: _sweep(point) for point in material.shown_points(POINTS)}
    tables = {name: table for name, table in found.items() if table is not None}
    if not tables:
        return None
    views = {
        name: [
            Series(label(column), "line", table["threshold"].tolist(), table[column].tolist(), colour=at, panel=at)
            for at, column in enumerate(_COLUMNS)
        ]
        for name, table in tables.items()
    }
    title = "Polysemantic neurons and coverage by threshold"
    table = pd.concat([table.assign(networks_of=name) for name, table in tables.items()], ignore_index=True)
    chart = Chart("thresholds", f"{title}: {material.description}", panels("threshold", _COLUMNS), views, table)
    chart.words = glossary(["threshold", *_COLUMNS])
    text = (
        "At the end of training, one network of each grid point. Counts elsewhere use 0.5. A flat stretch around it "
        "says that the count does not hang on the choice; a slope, that weights lie in between; a count that falls "
        "together with coverage, that features were lost from sight and not told apart."
    )
    return Section(
        title, [text, *limit_note(material, found=tables, lacking="weights of a network that did not diverge")], [chart]
    )


def _sweep(point: Point) -> pd.DataFrame | None:
    kept = point.snapshots(2)
    if kept is None or kept[0] not in point.sound:
        return None
    weights = list(kept[1].values())[-1]
    sweep = threshold_sweep(weights["W_enc"], weights.get("W_dec"), _THRESHOLDS.tolist())
    columns = {name: getattr(sweep, name).flatten().tolist() for name in _COLUMNS}
    return pd.DataFrame({"threshold": _THRESHOLDS, **columns, "network": kept[0]})
