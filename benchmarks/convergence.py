"""Steps that `--convergence.stop` saves in a finished sweep over widths: python -m benchmarks.convergence DIRECTORY."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import polysemantic
from polysemantic.results.runs import load_run
from polysemantic.results.sweeps import CELLS

_COUNT = "polysemantic_neurons"


def saved(run: polysemantic.Run) -> dict[str, float]:
    """When the last network of a run had converged, and how many counts changed from then to the run's end."""
    end = run.results.set_index("instance")
    last = end["converged_step"].max(skipna=False)
    rows = {"neurons": end["n_hidden"].iloc[0], "networks": len(end), "steps": end["step"].max()}
    rows |= {"converged": end["converged_step"].notna().sum(), "all converged at": last, "other counts": float("nan")}
    if pd.notna(last):
        measured = run.history["step"][run.history["step"] >= last].min()
        then = run.history[run.history["step"] == measured].set_index("instance")
        rows["other counts"] = (then[_COUNT] != end[_COUNT]).sum()
    return rows


if __name__ == "__main__":
    table = pd.DataFrame([saved(load_run(cell)) for cell in (Path(sys.argv[1]) / CELLS).iterdir()])
    table["saved"] = 1 - table["all converged at"] / table["steps"]
    print(table.sort_values("neurons").to_string(index=False, na_rep="-", float_format="{:.3g}".format))
