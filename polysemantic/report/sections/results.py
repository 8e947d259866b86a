import pandas as pd

from polysemantic.report.charts import Section, TextTable
from polysemantic.report.groups import has, in_words, statistics
from polysemantic.report.labels import label, value_text
from polysemantic.report.material import Material

_COLUMNS = [
    "polysemantic_neurons", "coverage", "carriers", "collisions_opposite_sign", "collisions_same_sign", "loss",
    "privilege",
]  # fmt: skip


def results(material: Material) -> Section | None:
    """The end state of every grid point."""
    columns = [name for name in _COLUMNS if has(material, name)]
    by = material.axes or ["data"]
    tables = [statistics(material.results, by, column) for column in columns]
    words = [[in_words(*ends) for ends in zip(t["mean"], t["low"], t["high"], strict=True)] for t in tables]
    points = tables[0].to_dict("records")
    rows = [
        [*(value_text(point[axis]) if pd.notna(point[axis]) else "-" for axis in by), str(point["networks"]), *numbers]
        for point, *numbers in zip(points, *words, strict=True)
    ]
    diverged = int(material.results["diverged_step"].notna().sum())
    text = [f"{diverged} networks diverged and are left out of every number."] if diverged else []
    headings = [*map(label, by), "networks", *map(label, columns)]
    return Section("Results", text, tables=[TextTable("Mean ± 95 % interval over networks", headings, rows)])
