import pandas as pd

from polysemantic.report.charts import Section, TextTable
from polysemantic.report.groups import has, in_words, statistics
from polysemantic.report.labels import label
from polysemantic.report.material import Material
from polysemantic.report.over_training import POINTS
from polysemantic.results.converged import Converged
from polysemantic.results.glossary import glossary
from polysemantic.results.intervals import note_on_seeds

_COLUMNS = [
    "polysemantic_neurons", "coverage", "carriers", "collisions_opposite_sign", "collisions_same_sign", "loss",
    "privilege",
]  # fmt: skip


def results(material: Material) -> Section:
    """The end state of every grid point."""
    text = [*converged_text(material), *_diverged(material)]
    columns = [name for name in (*_COLUMNS, *material.own_columns) if has(material, name)]
    if not columns:
        return Section("Results", text)
    by = material.axes or ["data"]
    tables = [statistics(material.results, by, column, material.columns) for column in columns]
    words = [[in_words(*ends) for ends in zip(t["mean"], t["low"], t["high"], strict=True)] for t in tables]
    points = tables[0].to_dict("records")
    groups = [Converged.of(rows) for _, rows in material.results.groupby(by, sort=True, dropna=False)]
    rows = [
        [
            *(material.text(axis, point[axis]) if pd.notna(point[axis]) else "-" for axis in by),
            str(point["networks"]),
            f"{group.converged} of {group.networks}",
            *numbers,
        ]
        for point, group, *numbers in zip(points, groups, *words, strict=True)
    ]
    headings = [*map(label, by), "networks", "converged", *(label(column, material.columns) for column in columns)]
    few = note_on_seeds(min(group.networks for group in groups))
    meanings = glossary(["converged", *by, *columns], material.columns)
    table = TextTable("Mean ± 95 % interval over networks", headings, rows, meanings)
    return Section("Results", [*text, *([few] if few else [])], tables=[table])


def converged_text(material: Material) -> list[str]:
    """How many networks had converged, and what to do if few had."""
    converged = Converged.of(material.results)
    return [f"{converged.words.capitalize()}.", *([converged.advice] if converged.advice else [])]


def _diverged(material: Material) -> list[str]:
    """Says which networks diverged, if any did."""
    diverged = material.results["diverged_step"].notna()
    if not diverged.any():
        return []
    counts = diverged.groupby([material.results["run"], material.results["point"]]).sum()
    told = []
    for point in material.points:
        networks = len(point.instances)
        count = counts[point.source.name, point.instances.start // networks]
        told += [f"{point.label} ({count} of {networks})"] if count else []
    more = f", and in {len(told) - POINTS} more grid points" if len(told) > POINTS else ""
    where = f"{'; '.join(told[:POINTS])}{more}"
    return [f"{int(diverged.sum())} networks diverged and are left out of these numbers: {where}."]
