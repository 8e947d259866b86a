"""Histories of grid points, as bands over training."""

from __future__ import annotations

import pandas as pd

from polysemantic.report.charts import Series
from polysemantic.report.groups import numbers, statistics
from polysemantic.report.labels import label
from polysemantic.report.material import Material

# Grid points whose training is told: more would make the page large, and nobody would look.
POINTS = 24
_STEPS = 120


def histories(material: Material, columns: list[str]) -> dict[str, pd.DataFrame]:
    """The history of each grid point shown, by label, if it has all of these columns."""
    found = {point.label: point.table("history") for point in material.shown_points(POINTS)}
    return {
        name: rows
        for name, rows in found.items()
        if rows is not None and set(columns) <= set(rows) and rows["step"].nunique() > 1
    }


def band(rows: pd.DataFrame, column: str, panel: int) -> list[Series]:
    """The mean over networks at each step, with its 95 % interval."""
    kept = sorted(rows["step"].unique())
    kept = kept[:: max(1, len(kept) // _STEPS)]
    means = statistics(rows[rows["step"].isin(kept)], ["step"], column).dropna(subset=["mean"])
    counts = [f"mean of {count} networks" for count in means["networks"]]
    x, y, low, high = (numbers(means[name]) for name in ("step", "mean", "low", "high"))
    return [Series(label(column), "band", x, y, low, high, colour=panel, panel=panel, detail=counts)]


def history_table(found: dict[str, pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Means and intervals at each step, to download."""
    tables = [
        statistics(rows, ["step"], column).assign(measurement=column, networks_of=name)
        for name, rows in found.items()
        for column in columns
    ]
    return pd.concat(tables, ignore_index=True)


def limit_note(material: Material, limit: int = POINTS) -> list[str]:
    """Says that only some grid points are shown, if so."""
    total = len(material.points)
    return [f"{limit} of {total} grid points, to keep the page small."] if total > limit else []
