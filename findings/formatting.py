"""Numbers as they stand in the text: means with 95 % intervals over networks, and tables of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from findings.glossary import explained
from findings.networks import COUNTS
from findings.statistics import difference, ranged, within
from polysemantic.report.labels import value_text
from polysemantic.results.tables import mean_and_interval

# The count and what it means nothing without.
SHARED = {"polysemantic neurons": "polysemantic_neurons", "coverage": "coverage"}


def markdown(rows: Sequence[Sequence[str]], headings: Sequence[str], left: int) -> str:
    """A Markdown table with its words explained below it; the first columns are set left, the others right."""
    table = plain_markdown(rows, headings, left)
    words = explained(" | ".join(headings))
    return f"{table}\n\n{words}" if words else table


def plain_markdown(rows: Sequence[Sequence[str]], headings: Sequence[str], left: int) -> str:
    """A Markdown table alone."""
    rule = [":---"] * left + ["---:"] * (len(headings) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, rule, *rows))


def means(table: pd.DataFrame, by: Mapping[str, str], columns: Mapping[str, str]) -> str:
    """Means with intervals in each group of networks.

    Args:
        table: One row for each network.
        by: What to group by: headings and their columns.
        columns: What to average, likewise.
    """
    groups = table.groupby(list(by.values()), dropna=False)
    rows = [
        [*map(_text, point), str(len(networks)), *(told_of(networks, name) for name in columns.values())]
        for point, networks in groups
    ]
    return markdown(rows, [*by, "networks", *columns], left=len(by))


def by_threshold(table: pd.DataFrame, by: Mapping[str, str]) -> str:
    """Polysemantic neurons and coverage by the threshold on |w|; the band is the paper's 0.8 to 1.2."""
    named = {f"at {name}" if name != "band" else "in the band": count for name, (count, _) in COUNTS.items()}
    covered = {f"coverage at {name}": share for name, (_, share) in COUNTS.items() if name != "band"}
    return means(table, by, named | covered)


def told(values: pd.Series) -> str:
    """`70.2 ± 1.7`."""
    return mean_and_interval(ranged(values))


def told_of(networks: pd.DataFrame, column: str) -> str:
    """`15.9 [15.8, 16]`: a column of networks of one size, whose counts of neurons end at the neurons there are."""
    most = float(networks["n_hidden"].max()) if "n_hidden" in networks else math.inf
    values = ranged(networks[column])
    return mean_and_interval(values, within(str(values.name), most))


def against(one: pd.Series, other: pd.Series) -> str:
    """The difference of two means with its interval."""
    middle, half = difference(one, other)
    return f"{middle:+.2g} ± {half:.2g}"


def share(rows: pd.Series) -> str:
    """A share of yes in per cent, and of how many."""
    return f"{rows.mean():.0%} of {len(rows)}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else value_text(value)
