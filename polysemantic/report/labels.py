"""What charts call columns, and the colours of every chart."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping
from typing import Any

from polysemantic.model.ensemble import short_text
from polysemantic.results.columns import COLUMNS, ROW, RUN, SETTING, Column, by_name, look_up

# Okabe and Ito's, told apart with every common kind of colour blindness, and dark enough for lines on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5C4B8A", "#7F7F7F")
THEORY = ("#333333", "#888888")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down")
MARKERS = ("o", "s", "D", "^", "P", "X", "*", "v")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
STYLES = ("-", (0, (4, 2)), (0, (1, 1.5)), "-.", (0, (8, 2)), (0, (8, 2, 1, 2)))
DIVERGING = ("#0072B2", "#FFFFFF", "#D55E00")

# What charts have axes of beside the columns of results: what is worked out for a chart alone.
_AXES = by_name(
    [
        Column("threshold", "chart", "threshold on |w|"),
        Column("life", "chart", "life", "optimiser steps"),
        Column("survival", "chart", "share of collisions alive"),
    ]
)

_FIRST = ("polysemantic_neurons", "coverage")
# A neuron's index is no amount: a mean of several says nothing.
_NOT_MEASURED = (ROW, RUN, SETTING)
_MEASURED = [n for n, of in COLUMNS.items() if of.group not in _NOT_MEASURED and n != "disambiguation_neuron"]
MEASURES = (*_FIRST, *(name for name in _MEASURED if name not in _FIRST))
"""Columns of every run that a chart can show, the important ones first."""


def label(name: str, columns: Mapping[str, Column] = COLUMNS) -> str:
    """What an axis calls a column, with its unit; its own name in words if nothing is known of it."""
    return look_up(name, {**_AXES, **columns}).axis


def heading(name: str, columns: Mapping[str, Column] = COLUMNS) -> str:
    """What headings call a column: its label without the unit."""
    return look_up(name, {**_AXES, **columns}).label


def value_text(value: Any) -> str:
    """A value of an axis in few characters; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return "-" if math.isnan(value) else f"{value:g}"


def counted(number: int, noun: str) -> str:
    """How many there are of something.

    Example:
        >>> counted(1, "network"), counted(3, "network")
        ('1 network', '3 networks')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def value_texts(values: Iterable[Any]) -> list[str]:
    """Values of one axis, numbers in as few digits as tell them apart."""
    grid = list(values)
    numbers = [value for value in grid if isinstance(value, float) and not math.isnan(value)]
    return [short_text(value, numbers) if value in numbers else value_text(value) for value in grid]


def look(colour: int) -> tuple[int, int]:
    """Which colour and which symbol: when the colours are used up, the same ones come with other symbols.

    Example:
        >>> look(1), look(9)
        ((1, 1), (1, 2))
    """
    return colour % len(PALETTE), (colour + colour // len(PALETTE)) % len(SYMBOLS)


def markup(text: str) -> str:
    """A text for plotly, which reads a kind of HTML and fills in `%{...}`."""
    return html.escape(text, quote=False).replace("%{", "%&#123;")
