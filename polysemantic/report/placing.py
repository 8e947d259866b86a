"""Where networks and means stand along a horizontal axis, so that none hides another."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from polysemantic.report.charts import Panel, Series, Value

# Room for all that stands at one place: a share of the distance to the next place, and of the whole axis at most.
_OF_DISTANCE, _OF_AXIS = 0.7, 0.12
# The share of its room that the points of one curve take.
_OF_ROOM = 0.85
# Decades, or a share of the value, around the only place of an axis.
_ALONE = 0.1
_MOVED = ("points", "mean")


def places(series: Sequence[Series], panels: Sequence[Panel]) -> list[list[Value]]:
    """Where each value of each series stands on its horizontal axis.

    Words become their numbers, and 0 has a place of its own on a logarithmic axis. Where the panel says so, curves
    stand side by side, and the networks of one place in a row around their mean: in the same order everywhere, which is
    that of their seeds.
    """
    found = [_on_axis(one.x, panels[one.panel]) for one in series]
    lanes = {name: at for at, name in enumerate(dict.fromkeys(one.name for one in series if one.kind in _MOVED))}
    for number, panel in enumerate(panels):
        kinds = {"none": (), "points": ("points",), "curves": _MOVED}[panel.spread]
        within = [at for at, one in enumerate(series) if one.panel == number and one.kind in kinds]
        room = _room((value for at in within for value in found[at]), panel) / max(1, len(lanes))
        for at in within:
            lane = (lanes[series[at].name] - (len(lanes) - 1) / 2) * room
            offsets = _side_by_side(found[at], lane, room if series[at].kind == "points" else 0.0)
            found[at] = [_moved(value, offset, panel) for value, offset in zip(found[at], offsets, strict=True)]
    return found


def apart(series: Series, panel: Panel) -> Series:
    """A curve whose line does not join 0 with the rest of a logarithmic axis, on which the way between is infinite."""
    if panel.zero_at is None or 0 not in series.x or series.kind == "points":
        return series
    after = list(series.x).index(0) + 1
    gaps = {"x": None, "y": math.nan, "low": math.nan, "high": math.nan, "detail": "", "rows": -1}
    held = {name: getattr(series, name) for name in gaps}
    broken: dict[str, Any] = {
        name: [*of[:after], gaps[name], *of[after:]] for name, of in held.items() if of is not None
    }
    return dataclasses.replace(series, **broken)


def _on_axis(values: Sequence[Value], panel: Panel) -> list[Value]:
    if panel.words:
        numbers = {word: float(at) for at, word in enumerate(panel.words)}
        return [None if value is None else numbers[str(value)] for value in values]
    return [panel.zero_at if panel.log_x and value == 0 else value for value in values]


def _room(values: Iterable[Value], panel: Panel) -> float:
    """What all that stands at one place may take of the axis, in its units or in decades."""
    known = {_along(value, panel) for value in values if isinstance(value, (int, float)) and math.isfinite(value)}
    if len(known) < 2:
        return _OF_DISTANCE if panel.words else _ALONE * (1 if panel.log_x else max(map(abs, known), default=0))
    nearest = float(np.diff(sorted(known)).min())
    return _OF_DISTANCE * nearest if panel.words else min(_OF_DISTANCE * nearest, _OF_AXIS * (max(known) - min(known)))


def _along(value: float, panel: Panel) -> float:
    return math.log10(value) if panel.log_x else float(value)


def _side_by_side(values: Sequence[Value], lane: float, reach: float) -> list[float]:
    """An offset for each value: those at one place side by side, in their order."""
    offsets = [lane] * len(values)
    where: dict[Value, list[int]] = {}
    for at, value in enumerate(values):
        where.setdefault(value, []).append(at)
    for members in where.values():
        for rank, at in enumerate(members):
            share = rank / (len(members) - 1) - 0.5 if len(members) > 1 else 0.0
            offsets[at] += _OF_ROOM * reach * share
    return offsets


def _moved(value: Value, offset: float, panel: Panel) -> Value:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return value
    moved = 10 ** (math.log10(value) + offset) if panel.log_x else value + offset
    return float(f"{moved:.6g}")
