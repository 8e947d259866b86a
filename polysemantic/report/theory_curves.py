"""Curves of theory beside polysemantic neurons, for the networks that have what it assumes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from polysemantic.report.charts import Series, Value
from polysemantic.report.material import Material
from polysemantic.results.predictions import PAPER, SLOTS, unmet_anywhere
from polysemantic.results.setups import Setup

_LAWS = (PAPER, SLOTS)


def over_widths(material: Material) -> list[Series]:
    """Each prediction against the number of neurons, over the widths of the networks that have what it assumes."""
    setups: dict[int, Setup] = {}
    widths: dict[int, set[int]] = {}
    for point in material.points:
        n = point.setup.n_features
        # A width that is too small for theory says nothing of the others.
        at_ease = dataclasses.replace(point.setup, n_hidden=n)
        if PAPER.holds(at_ease):
            setups[n] = at_ease
            widths.setdefault(n, set()).add(point.setup.n_hidden)
    several = len(set(material.results["n_features"].tolist())) > 1
    series = []
    for n, setup in sorted(setups.items()):
        m = _around(widths[n])
        name = f", n = {n}" if several else ""
        for colour, law in enumerate(_LAWS):
            expected = [law.at(dataclasses.replace(setup, n_hidden=k)) for k in m]
            series.append(Series(f"theory, {law.formula}{name}", "theory", m, expected, colour=colour))
    return [one for one in series if not np.isnan(np.array(one.y, dtype=float)).all()]


def _around(widths: set[int]) -> list[int]:
    """Widths for a curve through some; a single one is drawn a little to both sides."""
    reach = 1.0 if len(widths) > 1 else 1.25
    spread = np.geomspace(max(1.0, min(widths) / reach), max(widths) * reach, 60)
    return sorted({round(width) for width in spread})


def at_points(material: Material, points: pd.DataFrame, places: Sequence[Value]) -> list[Series]:
    """Each prediction at some grid points, none where one has not what it assumes.

    Args:
        material: What the report is about.
        points: A row of the results for each grid point.
        places: Where each of them stands on the axis.
    """
    known = {(point.source.name, point.number): point.setup for point in material.points}
    setups = [known[run, number] for run, number in zip(points["run"], points["point"], strict=True)]
    if not any(map(PAPER.holds, setups)):
        return []
    return [
        Series(f"theory, {law.formula}", "theory", places, [law.at(setup) for setup in setups], colour=colour)
        for colour, law in enumerate(_LAWS)
    ]


def note(material: Material) -> str:
    """Which networks theory is drawn for, and why not for the others."""
    setups: list[Setup] = [point.setup for point in material.points]
    met = sum(map(PAPER.holds, setups))
    missing = ", ".join(unmet_anywhere(PAPER, setups))
    if not met:
        return f"No theory is drawn: it assumes {missing}."
    formulas = " and ".join(law.formula for law in _LAWS)
    if met == len(setups):
        return f"Dashed: theory, {formulas}, which assumes {PAPER.assumes}."
    return f"Dashed: theory, {formulas}, for {met} of {len(setups)} grid points. The others lack: {missing}."
