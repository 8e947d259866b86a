"""Runs and sweeps as a notebook shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

import pandas as pd

from polysemantic.results.columns import Column
from polysemantic.results.intervals import note_on_seeds
from polysemantic.results.tables import point_rows, within_sizes

_SHOWN = ("polysemantic_neurons", "coverage", "carriers", "collisions_opposite_sign", "collisions_same_sign", "loss")
# Rows that a notebook shows at most.
_ROWS = 30


def page(
    kind: str,
    directory: Path,
    facts: Iterable[str],
    results: pd.DataFrame,
    varied: list[str],
    known: Mapping[str, Column],
) -> str:
    """A piece of HTML: what it is, and the mean of the main measurements at each grid point with its 95 % interval.

    Args:
        kind: What it is called.
        directory: Its directory.
        facts: What is to be said of it.
        results: One row for each network.
        varied: The columns in which grid points differ.
        known: The columns.
    """
    shown = [name for name in _SHOWN if name in results]
    headings = [*varied, "networks", "converged", *(known[name].label for name in shown)]
    points = list(point_rows(results, varied))
    rows = [
        [
            *point.values(),
            str(len(networks)),
            str(int(networks["converged_step"].notna().sum())),
            *(within_sizes(networks, name, known) for name in shown),
        ]
        for point, networks in points[:_ROWS]
    ]
    more = f"; {len(points) - _ROWS} more grid points" if len(points) > _ROWS else ""
    few = note_on_seeds(min((len(networks) for _, networks in points), default=0)) or ""
    return (
        f"<div><p><b>{escape(kind)}</b> <code>{escape(str(directory))}</code><br>{escape('; '.join(facts))}</p>"
        f"<table><thead>{_row('th', headings)}</thead><tbody>{''.join(_row('td', row) for row in rows)}</tbody></table>"
        f"<p>Mean ± 95 % interval over networks. Coverage: share of features that some neuron carries, |w| ≥ 0.5"
        f"{escape(more)}. {escape(few)}</p></div>"
    )


def _row(cell: str, values: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{escape(value)}</{cell}>' for value in values)}</tr>"
