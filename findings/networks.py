"""The rows that findings are made of: one for each network of a sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from polysemantic.functional import threshold_sweep
from polysemantic.results.columns import read_columns, setting_names
from polysemantic.results.runs import load_run
from polysemantic.results.sweeps import CELLS, RESULTS
from polysemantic.sweep.table import axes_of, collect

# The count of polysemantic neurons and its coverage by the threshold from which a neuron carries a feature.
COUNTS = {
    "0.3": ("polysemantic_neurons_0.3", "coverage_0.3"),
    "0.5": ("polysemantic_neurons", "coverage"),
    "0.7": ("polysemantic_neurons_0.7", "coverage_0.7"),
    "band": ("polysemantic_neurons_band", "coverage"),
}
_FURTHER = (0.3, 0.7)
LATE = "late_change"
"""Column: relative change of the fourth norm over the second half of training, as measured nearest to its middle."""
STILL = 0.01
"""Below this late change, of either sign, a network counts as still, whatever its privilege."""


def networks(directory: Path) -> pd.DataFrame:
    """The results of a sweep, with counts and coverage at further thresholds; columns without any value are left out.

    Args:
        directory: The sweep's directory.
    """
    results = collect(directory)
    cells = [
        _with_thresholds(directory / CELLS / str(cell), rows) for cell, rows in results.groupby("cell", sort=False)
    ]
    table = pd.concat(cells, ignore_index=True)
    axes = [name for name in axes_of(directory) if name in table]
    # What all networks share is in the configuration of the finding.
    settings = setting_names(read_columns(directory / RESULTS)).intersection(table)
    shared = {name for name in settings if table[name].nunique(dropna=False) == 1}
    rest = [name for name in table if name not in {*axes, *shared, "cell", "run", "instance"}]
    return table[[*axes, *rest]].dropna(axis="columns", how="all")


def _with_thresholds(run: Path, rows: pd.DataFrame) -> pd.DataFrame:
    loaded = load_run(run)
    model = loaded.model
    sweep = threshold_sweep(model["W_enc"], model.get("W_dec"), _FURTHER)
    counted = {
        name: values[:, at].numpy()
        for at, threshold in enumerate(_FURTHER)
        for name, values in zip(COUNTS[str(threshold)], (sweep.polysemantic_neurons, sweep.coverage), strict=True)
    }
    return rows.sort_values("instance").assign(**counted, **{LATE: _late_change(loaded.history)})


def _late_change(history: pd.DataFrame) -> np.ndarray:
    """For each network, in order."""
    norms = history.pivot_table(index="step", columns="instance", values="fourth_norm").sort_index(axis=1)
    middle = norms.index[np.abs(norms.index - norms.index[-1] / 2).argmin()]
    change: np.ndarray = (norms.iloc[-1] / norms.loc[middle] - 1).to_numpy()
    return change


def narrowest(table: pd.DataFrame) -> pd.DataFrame:
    """The networks with the fewest neurons."""
    rows: pd.DataFrame = table[table["n_hidden"] == table["n_hidden"].min()]
    return rows
