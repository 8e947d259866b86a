from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.bare import Bare
from benchmarks.cases import Case
from benchmarks.measure import calibrate
from benchmarks.ours import RUN_SECONDS, timed_fit
from polysemantic.engine.threaded import ThreadedEngine

BASE = Case(16, 64, 64, 64, probability=0.1)
AXES = {
    "instances": (1, 4, 16, 64, 256),
    "features": (8, 32, 128, 512, 1024),
    "hidden": (8, 32, 128, 512, 2048),
    "batch": (8, 32, 128, 512, 2048),
}
_RESAMPLES = 2000


def measure_scaling(
    seconds: float = 0.8,
    rounds: int = 2,
    base: Case = BASE,
    axes: dict[str, Sequence[int]] | None = None,
    run_seconds: float = RUN_SECONDS,
    passes: int = 3,
    enough: float = 0.02,
) -> Iterator[dict[str, float | str | bool]]:
    """Time of ours at sizes that change one at a time; a row for each round.

    The sizes of an axis take turns: one core of a machine shared with others is now quicker and now slower for a while.
    """
    for axis, sizes in (axes or AXES).items():
        for size in [*sizes] * passes:
            changed: dict[str, Any] = {axis: size}
            case = dataclasses.replace(base, **changed)
            bare = Bare(case, case.start())
            estimate = calibrate(bare, enough)
            fit = timed_fit(case, estimate, seconds, rounds, between=lambda: None, run_seconds=run_seconds)
            row: dict[str, float | str | bool] = {
                "axis": axis,
                "size": size,
                "threaded": bare.plan.engine is ThreadedEngine,
                "flop_per_step": case.flop,
            }
            yield from ({**row, "seconds_per_step": took} for took in fit.seconds_per_step)


class Slope(NamedTuple):
    """How cost grows with work, 1 where it is proportional, and its 95 % interval, by resampling rounds."""

    value: float
    low: float
    high: float


def slopes(table: pd.DataFrame, largest: int | None = None) -> dict[str, Slope]:
    """The slope of each axis, by least squares through the medians of sizes at which the cores are busy.

    Args:
        table: Rows of `measure_scaling`.
        largest: How many of these sizes, the largest; None for all, or for an axis's two largest if fewer are busy.
    """
    rng = np.random.default_rng(0)
    found = {}
    for axis, rows in table.groupby("axis", sort=False):
        sizes = sorted(rows["size"].unique())
        busy = [size for size in sizes if rows["threaded"][rows["size"] == size].all()]
        used = [rows[rows["size"] == size] for size in (busy if len(busy) > 1 else sizes[-2:])[-(largest or 0) :]]
        work = np.log([same["flop_per_step"].iloc[0] for same in used])
        rounds = [np.log(same["seconds_per_step"].to_numpy()) for same in used]
        resampled = [np.median(rng.choice(took, (_RESAMPLES, len(took))), 1) for took in rounds]
        value = np.polyfit(work, [np.median(took) for took in rounds], 1)[0]
        low, high = np.percentile(np.polyfit(work, np.array(resampled), 1)[0], [2.5, 97.5])
        found[str(axis)] = Slope(float(value), float(low), float(high))
    return found


def by_axis(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The medians of each axis, by size."""
    for axis, rows in table.groupby("axis", sort=False):
        yield str(axis), rows.groupby("size", as_index=False)[["flop_per_step", "seconds_per_step"]].median()


def draw_scaling(table: pd.DataFrame, path: Path) -> None:
    """Cost against work, a line for each axis, beside a cost proportional to work."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
    for axis, rows in by_axis(table):
        axes.loglog(rows["flop_per_step"] / 1e6, rows["seconds_per_step"] * 1e6, marker="o", label=axis)
    largest = table.iloc[int(table["flop_per_step"].to_numpy().argmax())]
    work = np.geomspace(table["flop_per_step"].min(), largest["flop_per_step"], 2)
    proportional = work * largest["seconds_per_step"] / largest["flop_per_step"]
    axes.loglog(work / 1e6, proportional * 1e6, color="0.6", linestyle="--", label="proportional")
    axes.set(xlabel="work of a step (MFLOP)", ylabel="time of a step (µs)")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
