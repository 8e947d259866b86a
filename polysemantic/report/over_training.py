"""Histories of grid points, as bands over training."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from polysemantic.report.charts import Series
from polysemantic.report.groups import numbers, statistics
from polysemantic.report.labels import counted, label
from polysemantic.report.material import Material

# Grid points whose training is told: more would make the page large, and nobody would look.
POINTS = 24
_STEPS = 120
NO_HISTORY = "measurements over training"
"""What a grid point lacks whose training cannot be told."""
# Grid points named among those that are not shown.
_NAMED = 12


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
    counts = [f"mean of {counted(count, 'network')}" for count in means["networks"]]
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


def limit_note(
    material: Material, limit: int = POINTS, found: Collection[str] | None = None, lacking: str = ""
) -> list[str]:
    """Says which grid points are not shown, and why, if there are any.

    Args:
        material: What the report is made of.
        limit: How many grid points the page has room for.
        found: The labels of those that are shown; None for all that there is room for.
        lacking: What the others lack, after "without".
    """
    total = [point.label for point in material.points]
    chosen = [point.label for point in material.shown_points(limit)]
    left = [name for name in total if name not in set(chosen)]
    bare = [name for name in chosen if found is not None and name not in found]
    notes = [
        f"{len(chosen)} of {len(total)} grid points have room here, evenly from all, to keep the page small. "
        f"Left out: {some(left)}."
    ]
    notes = notes if left else []
    return [*notes, f"Not shown, without {lacking}: {some(bare)}."] if bare else notes


def some(names: Sequence[str], at_most: int = _NAMED) -> str:
    """The first of many names."""
    more = len(names) - at_most
    return "; ".join(names[:at_most]) + (f"; and {more} more" if more > 0 else "")
