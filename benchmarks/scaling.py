from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.bare import Bare
from benchmarks.cases import Case
from benchmarks.measure import calibrate
from benchmarks.ours import RUN_SECONDS, timed_fit

BASE = Case(16, 64, 64, 64, probability=0.1)
AXES = {
    "instances": (1, 4, 16, 64, 256),
    "features": (8, 32, 128, 512, 1024),
    "hidden": (8, 32, 128, 512, 2048),
    "batch": (8, 32, 128, 512, 2048),
}


def measure_scaling(
    seconds: float = 0.8,
    rounds: int = 5,
    base: Case = BASE,
    axes: dict[str, Sequence[int]] | None = None,
    run_seconds: float = RUN_SECONDS,
) -> Iterator[dict[str, float | str]]:
    """Time of ours at sizes that change one at a time; a row for each."""
    for axis, sizes in (axes or AXES).items():
        for size in sizes:
            case = dataclasses.replace(base, **{axis: size})
            estimate = calibrate(Bare(case, case.start()))
            fit = timed_fit(case, estimate, seconds, rounds, between=lambda: None, run_seconds=run_seconds)
            took = statistics.median(fit.seconds_per_step)
            yield {"axis": axis, "size": size, "flop_per_step": case.flop, "seconds_per_step": took}


def slopes(table: pd.DataFrame) -> dict[str, float]:
    """How cost grows with work on each axis, between its two largest sizes; 1 is proportional."""
    ends = {axis: np.log(rows[["flop_per_step", "seconds_per_step"]].to_numpy()[-2:]) for axis, rows in by_axis(table)}
    return {axis: float(np.diff(end[:, 1])[0] / np.diff(end[:, 0])[0]) for axis, end in ends.items()}


def by_axis(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each axis, by size."""
    for axis, rows in table.groupby("axis", sort=False):
        yield str(axis), rows.sort_values("size")


def draw_scaling(table: pd.DataFrame, path: Path) -> None:
    """Cost against work, a line for each axis, beside a cost proportional to work."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
    for axis, rows in by_axis(table):
        axes.loglog(rows["flop_per_step"] / 1e6, rows["seconds_per_step"] * 1e6, marker="o", label=axis)
    largest = table.loc[table["flop_per_step"].idxmax()]
    work = np.geomspace(table["flop_per_step"].min(), largest["flop_per_step"], 2)
    proportional = work * largest["seconds_per_step"] / largest["flop_per_step"]
    axes.loglog(work / 1e6, proportional * 1e6, color="0.6", linestyle="--", label="proportional")
    axes.set(xlabel="work of a step (MFLOP)", ylabel="time of a step (µs)")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
