"""How long collisions last: survival curves, median lives and resolution rates of each grid point."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from polysemantic.functional import (
    Interval,
    SurvivalCurve,
    bootstrap_lives,
    kaplan_meier,
    median_life,
    resolution_rate,
)
from polysemantic.model.ensemble import Ensemble, point_label, short_text
from polysemantic.results.glossary import glossary

Since = Literal["birth", "settlement"]


@dataclasses.dataclass
class Lifetimes:
    """How long the collisions of a grid point lasted.

    Args:
        point: Label of the grid point.
        shown: Likewise for people, a line for each name.
        since: Whether all lives are counted from birth, or those that settled from then on.
        lives: How many there were.
        alive: How many were alive when last seen.
        curve: Kaplan-Meier estimate of the share that outlives each number of steps.
        median_life: Steps that half of them outlive; infinite if more than half were alive at the end.
        resolution_rate: Resolved per step of life.
        median_life_interval: Bootstrap interval over instances.
        resolution_rate_interval: Likewise.
    """

    point: str
    shown: str
    since: Since
    lives: int
    alive: int
    curve: SurvivalCurve
    median_life: float
    resolution_rate: float
    median_life_interval: Interval
    resolution_rate_interval: Interval

    @property
    def kind(self) -> str:
        """`all` or `settled`."""
        return "all" if self.since == "birth" else "settled"


def durations(
    collisions: pd.DataFrame, since: Since = "birth"
) -> tuple[Int[np.ndarray, " life"], Bool[np.ndarray, " life"], Int[np.ndarray, " life"]]:
    """Observed length of each life, whether it ended, and its instance.

    Lives that settled are counted from that step on: counted from birth they would have been bound to live until then.

    Args:
        collisions: Rows of `collisions.parquet`.
        since: The beginning; from `settlement`, lives that never settled are left out.
    """
    begun = collisions if since == "birth" else collisions[collisions["settled_step"].notna()]
    start = begun["born_step" if since == "birth" else "settled_step"].to_numpy(dtype=np.int64)
    resolved = begun["resolved_step"].notna().to_numpy(dtype=bool)
    stop = begun["resolved_step"].fillna(begun["last_seen_step"]).to_numpy(dtype=np.int64)
    return stop - start, resolved, begun["instance"].to_numpy(dtype=np.int64)


def lifetimes(collisions: pd.DataFrame, ensemble: Ensemble, seed: int = 0) -> list[Lifetimes]:
    """How long the collisions of each grid point lasted, all of them and those that settled.

    Args:
        collisions: Rows of `collisions.parquet`.
        ensemble: The run's instances.
        seed: Seed of the bootstrap.
    """
    names = [
        (point_label(point), "\n".join(f"{name}={short_text(v, ensemble.vary[name])}" for name, v in point.items()))
        for point in ensemble.points
    ]
    return [
        _lifetimes(collisions, *name, range(at * ensemble.seeds, (at + 1) * ensemble.seeds), since, seed)
        for at, name in enumerate(names)
        for since in ("birth", "settlement")
    ]


def _lifetimes(
    collisions: pd.DataFrame, point: str, shown: str, instances: range, since: Since, seed: int
) -> Lifetimes:
    inside = collisions[collisions["instance"].between(instances.start, instances.stop - 1)]
    duration, resolved, instance = durations(inside, since)
    rng = np.random.default_rng(seed)
    intervals = bootstrap_lives(duration, resolved, instance - instances.start, n_instances=len(instances), rng=rng)
    curve = kaplan_meier(duration, resolved)
    rate = resolution_rate(duration, resolved)
    alive = int((~resolved).sum())
    return Lifetimes(point, shown, since, len(duration), alive, curve, median_life(curve), rate, *intervals)


def summary(rows: list[Lifetimes], diverged: int = 0) -> Group:
    """Median lives and resolution rates as a table for a terminal, and how many networks are left out of it."""
    points = {row.point for row in rows} != {"all"}
    # Close together where they name grid points, which must be told whole.
    padding = (0, 1, 0, 0) if points else (0, 1)
    table = Table(title="Lives of collisions", box=SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=padding)
    table.add_column("grid point, lives" if points else "lives", overflow="fold")
    for heading in ("number", "alive", "median life", "per 1000 steps"):
        table.add_column(heading, justify="right", no_wrap=True)
    for shown, lives in itertools.groupby(rows, lambda row: row.shown):
        if points:
            table.add_row(shown)
        for kind, number, alive, median, rate in map(in_words, lives):
            if points:
                # Below a long name there is no room for a median and its interval beside one another.
                kind, median = f"  {kind}", median.replace(" [", "\n[")
            table.add_row(*map(escape, (kind, number, alive, median, rate)))
    lines = (
        "[95 % interval over seeds]. Median life in steps, by Kaplan-Meier; resolved per 1000 steps of life.",
        f"{diverged} networks diverged and are left out." if diverged else "",
        glossary(["lives", "settled", "alive", "resolved"]),
    )
    return Group(table, *(Text(line) for line in lines if line))


def in_words(row: Lifetimes) -> list[str]:
    """Kind, number, how many were alive, median life, and resolved per 1000 steps of life, with intervals."""
    rate = Interval(*(1000 * end for end in row.resolution_rate_interval))
    median = _with_interval(row.median_life, row.median_life_interval)
    return [row.kind, str(row.lives), str(row.alive), median, _with_interval(1000 * row.resolution_rate, rate)]


def _with_interval(value: float, interval: Interval) -> str:
    if math.isnan(value):
        return "-"
    said = "most outlived the run" if math.isinf(value) else _number(value)
    if not math.isfinite(interval.low):
        return said
    # Where the upper end outlives the run too, the run says no more than that the median is not below the lower end.
    ends = f"≥ {_number(interval.low)}" if math.isinf(interval.high) else ", ".join(map(_number, interval))
    return f"{said} [{ends}]"


def _number(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
