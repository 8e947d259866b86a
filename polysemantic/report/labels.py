"""What columns are called on axes, and the colours of every chart."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import Any

from polysemantic.model.ensemble import short_text

# Okabe and Ito's, told apart with every common kind of colour blindness, and dark enough for lines on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5C4B8A", "#7F7F7F")
THEORY = ("#333333", "#888888")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down")
MARKERS = ("o", "s", "D", "^", "P", "X", "*", "v")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
STYLES = ("-", (0, (4, 2)), (0, (1, 1.5)), "-.", (0, (8, 2)), (0, (8, 2, 1, 2)))
DIVERGING = ("#0072B2", "#FFFFFF", "#D55E00")

LABELS = {
    "n_features": "features n",
    "n_hidden": "neurons m",
    "polysemantic_neurons": "polysemantic neurons",
    "polysemantic_neurons_band": "polysemantic neurons in the band 0.8 to 1.2",
    "excess_polysemantic_neurons": "polysemantic neurons beyond necessary",
    "coverage": "coverage (share of features)",
    "represented": "represented (share of features)",
    "carriers": "carriers (neurons per covered feature)",
    "loss": "loss",
    "reconstruction_error": "reconstruction error (squared, summed over features)",
    "collisions_opposite_sign": "opposite-sign collisions",
    "collisions_same_sign": "same-sign collisions",
    "collisions_compensated": "compensated collisions",
    "collisions_disambiguated": "disambiguated collisions",
    "collisions_costly": "costly collisions",
    "collision_cost": "interference cost of collisions",
    "collision_excess_cost": "excess interference cost of collisions",
    "collisions_born": "collisions born",
    "collisions_settled": "collisions settled",
    "collisions_resolved": "collisions resolved",
    "fourth_norm": "fourth norm (mean over features)",
    "participation_ratio": "participation ratio (neurons per feature)",
    "privilege": "basis privilege (0 none, 1 full)",
    "privilege_z": "basis privilege (standard deviations)",
    "hidden_excess_kurtosis": "excess kurtosis of hidden activations",
    "features_per_neuron": "features per neuron",
    "feature_dimensionality": "feature dimensionality",
    "rotation_gap": "rotation gap (loss)",
    "min_angle": "smallest angle between encodings (degrees)",
    "share_angles_below_90": "share of angles below 90 degrees",
    "partition_energy": "partition energy",
    "partition_concentration": "partition concentration",
    "mean_interference": "mean interference",
    "weighted_interference": "interference weighted by co-occurrence",
    "winner_was_largest": "winners that were largest at first (share)",
    "winner_kept_sign": "winners that kept their sign (share)",
    "sparsity_count": "neurons per feature m'",
    "l1_norm": "L1 norm of a feature",
    "expected_companions": "expected companions (features on beside a feature)",
    "l1": "L1 coefficient",
    "threshold": "threshold on |w|",
    "step": "training (optimiser steps)",
    "life": "life (optimiser steps)",
    "survival": "share of collisions alive",
    "paper_time": "time t of the paper's flow",
    "lr": "learning rate",
    "max_steps": "training (optimiser steps)",
    "data": "input distribution",
}
"""Labels of columns, with units in brackets."""

MEASURES = tuple(list(LABELS)[list(LABELS).index("polysemantic_neurons") : list(LABELS).index("expected_companions")])
"""Columns of results that a chart can show, the important ones first."""


def label(column: str) -> str:
    """What a column is called on an axis; its own name in words if it is none of ours."""
    return LABELS.get(column, column.replace("_", " "))


def heading(column: str) -> str:
    """The label of a column without its unit, for headings."""
    return label(column).partition(" (")[0]


def value_text(value: Any) -> str:
    """A value of an axis in few characters; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return "-" if math.isnan(value) else f"{value:g}"


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
