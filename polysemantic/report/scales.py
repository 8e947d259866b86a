"""The scale of a horizontal axis of settings: linear or logarithmic, with a place for 0, and its ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

# Between the largest and the smallest positive value, from which a logarithmic axis shows settings better: it needs
# more where 0 is among them, which stands apart there.
_RATIO, _RATIO_WITH_ZERO = 4, 10
# Factors between 0 and the smallest positive value on a logarithmic axis.
_NEAREST, _FARTHEST = 2.0, 10.0
# Ticks on an axis at most: closer ones would write their numbers over one another.
_TICKS = 10
# Letters of a word below an axis.
_LETTERS = 31
# Multiples of powers of ten with a tick, from few to many.
_MULTIPLES = ((1,), (1, 3), (1, 2, 5))
_ENOUGH, _ENOUGH_ACROSS = 3, 5


class Scale(NamedTuple):
    """How an axis shows numbers.

    Args:
        log: Whether it is logarithmic.
        zero_at: Where it shows 0, which has no place on a logarithmic axis; None if there is no 0 or it is linear.
        ticks: The values with a tick, as many as can be read; None for round numbers.
    """

    log: bool = False
    zero_at: float | None = None
    ticks: list[float] | None = None


def scale(values: pd.Series[Any], *, at_values: bool = True) -> Scale:
    """The scale for the values of a setting, or of what is measured.

    Args:
        values: One for each network.
        at_values: Whether ticks stand at the values if there are few, and not at round numbers.

    Example:
        >>> scale(pd.Series([0, 0.001, 0.01]))
        Scale(log=True, zero_at=0.0001, ticks=[0.0, 0.001, 0.01])
        >>> scale(pd.Series([0.0042, 0.42, 4.2]), at_values=False)
        Scale(log=True, zero_at=None, ticks=[0.01, 0.1, 1.0])
        >>> scale(pd.Series([-1.0, 0.0, 1.0])).log
        False
    """
    if not is_number(values):
        return Scale()
    known = np.unique(values.dropna().to_numpy(float))
    positive = known[known > 0]
    has_zero = bool((known == 0).any())
    ratio = _RATIO_WITH_ZERO if has_zero else _RATIO
    if (known < 0).any() or len(positive) < 2 or positive[-1] < ratio * positive[0]:
        return Scale(ticks=_readable(known, known) if at_values else None)
    zero_at = _place_of_zero(positive) if has_zero else None
    at = known if at_values and len(known) <= 2 * _TICKS else np.array([0.0] * has_zero + _round(*positive[[0, -1]]))
    places = np.log10(np.where(at == 0, zero_at or 1, at))
    return Scale(True, zero_at, _readable(at, places))


def _place_of_zero(positive: np.ndarray) -> float:
    """As far below the smallest positive value as these are from one another."""
    step = (positive[-1] / positive[0]) ** (1 / (len(positive) - 1))
    return float(f"{positive[0] / min(max(step, _NEAREST), _FARTHEST):.6g}")


def round_ticks(values: Iterable[float]) -> list[float]:
    """Round numbers among the positive values of a logarithmic axis, few enough to be read.

    Example:
        >>> round_ticks([0.004, 0.02, 0.5]), round_ticks([3e-9, 0.5])
        ([0.01, 0.03, 0.1, 0.3], [1e-08, 1e-06, 0.0001, 0.01])
    """
    positive = [value for value in values if value > 0]
    ticks = _round(min(positive), max(positive)) if positive else []
    return ticks[:: -(-len(ticks) // _ENOUGH_ACROSS)] if ticks else []


def _round(low: float, high: float) -> list[float]:
    """Round numbers on a logarithmic axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for multiples in _MULTIPLES:
        found = [float(f"{one}e{power}") for power in powers for one in multiples]
        within = [tick for tick in found if low <= tick <= high]
        if len(within) >= _ENOUGH:
            break
    return within


def break_at(zero_at: float) -> float:
    """Where a line on a logarithmic axis tells 0 from the rest."""
    return zero_at * math.sqrt(_NEAREST)


def is_number(values: pd.Series[Any]) -> bool:
    """Whether a column holds numbers, and not words, or true and false."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _readable(values: np.ndarray, places: np.ndarray) -> list[float] | None:
    """Those of the values that are far enough from one another, the first and last among them; None for very many."""
    if len(values) > 2 * _TICKS:
        return None
    least = (places[-1] - places[0]) / _TICKS if len(places) else 0
    kept: list[int] = []
    for at, place in enumerate(places):
        if not kept or (place - places[kept[-1]] >= least and (places[-1] - place >= least or at == len(places) - 1)):
            kept.append(at)
    return [float(values[at]) for at in kept]


def shortened(word: str) -> str:
    """A word below an axis, whose middle is left out where it would take the room of the chart.

    Example:
        >>> shortened("orthogonal"), shortened("/checkpoints/of/an/earlier/run/last.ckpt")
        ('orthogonal', '/checkpoints/of…r/run/last.ckpt')
    """
    half = _LETTERS // 2
    return word if len(word) <= _LETTERS else f"{word[:half]}…{word[-half:]}"


def tick_places(ticks: Sequence[float], zero_at: float | None) -> list[float]:
    """Where ticks stand, of which 0 may have a place of its own."""
    return [zero_at if zero_at is not None and tick == 0 else tick for tick in ticks]


def tick_texts(ticks: list[float]) -> list[str]:
    """Ticks as plain numbers, without a power of ten while they are short.

    Example:
        >>> tick_texts([0.0, 0.00001, 0.003, 4096.0])
        ['0', '0.00001', '0.003', '4096']
    """
    return [_plain(tick) for tick in ticks]


def _plain(number: float) -> str:
    short = float(f"{number:.4g}")
    if short == 0 or not 1e-5 <= abs(short) < 1e6:
        return f"{short:g}".replace("e+0", "e").replace("e-0", "e-")
    digits = max(0, 3 - math.floor(math.log10(abs(short))))
    text = f"{short:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
