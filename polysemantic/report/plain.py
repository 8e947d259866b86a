"""Numbers and texts as JSON holds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

Json = dict[str, Any]


def plain(values: Sequence[Any]) -> list[Any]:
    """Values of any kind, numbers shortened to six digits."""
    return [scalar(value) for value in values]


def scalar(value: Any) -> Any:
    """A number in six digits, or None where it is not finite; a text, true or false as it is."""
    if value is None or value is pd.NA or isinstance(value, (str, bool)):
        return None if value is pd.NA else value
    number = float(value)
    if not math.isfinite(number):
        return None
    short = float(f"{number:.6g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
