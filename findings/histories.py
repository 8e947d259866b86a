"""How networks came to be what they are: means over networks at a few steps of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from polysemantic.report.groups import statistics
from polysemantic.results.runs import load_run
from polysemantic.results.sweeps import CELLS
from polysemantic.sweep.table import axes_of, collect


def over_steps(directory: Path, columns: Sequence[str], points: int = 25) -> pd.DataFrame:
    """Means of some columns at steps spaced evenly on a logarithmic axis, and half widths of their 95 % intervals.

    A column `name` comes with `name_half`; step 0 is always among the steps.

    Args:
        directory: The sweep's directory.
        columns: Columns of the history.
        points: How many steps, before those that no measurement tells apart are merged.
    """
    axes = axes_of(directory)
    return pd.concat([_means(history, axes, columns, points) for history in histories(directory)], ignore_index=True)


def histories(directory: Path) -> Iterator[pd.DataFrame]:
    """The history of each run, with the sweep's axes.

    Args:
        directory: The sweep's directory.
    """
    axes = axes_of(directory)
    for cell, rows in collect(directory).groupby("cell", sort=False):
        history = load_run(directory / CELLS / str(cell)).history
        yield history.drop(columns=axes, errors="ignore").merge(rows[["instance", *axes]], on="instance")


def _means(history: pd.DataFrame, axes: list[str], columns: Sequence[str], points: int) -> pd.DataFrame:
    at = history[history["step"].isin(_spread(np.unique(history["step"]), points))]
    by = [*axes, "step"]
    table = statistics(at, by, columns[0])[[*by, "networks"]]
    for name in columns:
        found = statistics(at, by, name)
        # The longer side: the other may end where the range does.
        half = found[["low", "high"]].sub(found["mean"], axis=0).abs().max(axis=1)
        table = table.assign(**{name: found["mean"], f"{name}_half": half})
    return table


def _spread(steps: np.ndarray, points: int) -> np.ndarray:
    wanted = np.geomspace(steps[1], steps[-1], points)
    return np.union1d(steps[:1], [steps[np.abs(steps - one).argmin()] for one in wanted])
