"""Survival of collisions, of those there when training starts and of those born later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from findings.statistics import by_key
from polysemantic.functional import kaplan_meier
from polysemantic.results.lifetimes import durations
from polysemantic.results.runs import load_run
from polysemantic.results.sweeps import CELLS
from polysemantic.sweep.table import axes_of, collect

ORIGINS = ("formed before", "born later")
_CURVE = 25


def survival_curves(directory: Path) -> pd.DataFrame:
    """Kaplan-Meier curves of the collisions of each grid point, of those there at the start and of later ones."""
    axes = axes_of(directory)
    by = [*axes, "origin", "kind_at_birth"]
    curves = []
    for cell, rows in by_key(collect(directory), "cell", sort=False):
        lives = load_run(directory / CELLS / str(cell)).collisions
        assert lives is not None
        origin = np.where(lives["born_step"] == 0, *ORIGINS)
        groups = by_key(lives.assign(origin=origin).merge(rows[["instance", *axes]], on="instance"), by)
        curves += [_curve(group).assign(**dict(zip(by, point, strict=True))) for point, group in groups]
    return pd.concat(curves, ignore_index=True)[[*by, "life", "survival", "lives", "ended"]]


def ended_of(lives: pd.DataFrame) -> list[str]:
    """How many lives, how many ended, and the share that outlives the run."""
    end = lives.sort_values("life").iloc[-1]
    return [f"{end['lives']:g}", f"{end['ended']:g}", f"{end['survival']:.2f}"]


def _curve(lives: pd.DataFrame) -> pd.DataFrame:
    length, ended, _ = durations(lives)
    times, survival = kaplan_meier(length, ended)
    kept = np.unique(np.linspace(0, len(times) - 1, _CURVE).astype(int))
    return pd.DataFrame(
        {"life": times[kept], "survival": survival[kept], "lives": len(lives), "ended": int(ended.sum())}
    )
