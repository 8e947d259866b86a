from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from polysemantic.results.columns import COLUMNS, Column, column_notes
from polysemantic.results.converged import Converged
from polysemantic.results.glossary import glossary
from polysemantic.results.predictions import PAPER, SLOTS, number_or_dash
from polysemantic.results.settings import axis_columns
from polysemantic.results.setups import Setup
from polysemantic.results.sweeps import RESULTS, SWEEP, finished_cells, joined_with_columns, parse_yaml
from polysemantic.results.tables import explained, narrow, own_summaries, too_wide, within_sizes
from polysemantic.storage.files import write_parquet, write_whole
from polysemantic.sweep.plan import Plan

# What the table of a sweep shows.
_SHOWN = ("polysemantic_neurons", "coverage", "carriers")
_THEORY = (PAPER, SLOTS)
# Rows that a terminal shows at most.
_ROWS = 60


def write_sweep(plan: Plan) -> None:
    """Write `sweep.yaml`: the resolved sweep, and for each run the values that its ensemble does not hold."""
    cells = {
        cell.hash: {key: value for key, value in cell.point.items() if key not in cell.moved} for cell in plan.cells
    }
    text = yaml.dump(
        plan.content | {"cells": cells}, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False
    )
    write_whole(plan.directory / SWEEP, text.encode())


def collect(directory: Path) -> pd.DataFrame:
    """Rebuild a sweep's `results.parquet` from the tables of its finished runs, and return it.

    Args:
        directory: The sweep's directory.

    Raises:
        ValueError: If it holds no sweep or no finished run.
    """
    if not (directory / SWEEP).is_file():
        raise ValueError(f"`collect` must name a sweep's directory or configuration, got {str(directory)!r}.")
    if not finished_cells(directory):
        raise ValueError(f"`collect` must find finished runs, got none in {str(directory)!r}.")
    results, own = joined_with_columns(directory)
    write_parquet(directory / RESULTS, results, column_notes(own))
    return results


def axes_of(directory: Path) -> list[str]:
    """The columns of a sweep's axes."""
    return list(axis_columns(parse_yaml((directory / SWEEP).read_text())).values())


def summary(results: pd.DataFrame, axes: list[str], known: Mapping[str, Column] = COLUMNS) -> Group:
    """Polysemantic neurons, coverage and theory of each run and grid point, with 95 % intervals over seeds.

    Args:
        results: The sweep's table of results.
        axes: The columns of its axes.
        known: The columns of its runs; those of the user's metrics have tables of their own.
    """
    groups = results.groupby(["cell", *axes], sort=False, dropna=False)
    shown = results[groups.ngroup() < _ROWS]
    table = _table(shown, axes, str)
    table = _table(shown, axes, narrow) if too_wide(table) else table
    table.title = f"{len(results)} instances"
    more = f"{groups.ngroups - _ROWS} more rows in {RESULTS}" if groups.ngroups > _ROWS else None
    lines = [more, _theory_note(results), glossary([*_SHOWN, "n", "m"], short=True)]
    return Group(explained(table, results, int(groups.size().min()), lines), *own_summaries(shown, axes, known))


def _theory_note(results: pd.DataFrame) -> str | None:
    """What theory assumes, where some networks have none."""
    if results[SLOTS.name].notna().all():
        return None
    return f"- under {PAPER.formula} or {SLOTS.formula}: lacks something that theory assumes, that is {PAPER.assumes}"


def _table(results: pd.DataFrame, axes: list[str], written: Callable[[str], str]) -> Table:
    table = Table(box=SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for heading in axes:
        table.add_column(heading, justify="right", overflow="fold")
    headings = (COLUMNS[name].short_label for name in _SHOWN)
    for heading in (*headings, *(one.formula.replace("/2(", "/\n2(") for one in _THEORY), "converged"):
        table.add_column(heading, justify="right", no_wrap=True)
    for point, rows in results.groupby(["cell", *axes], sort=False, dropna=False):
        shown = (written(within_sizes(rows, name)) for name in _SHOWN)
        values = (f"{value:g}" if isinstance(value, float) else str(value) for value in point[1:])
        converged = Converged.of(rows)
        table.add_row(*values, *shown, *_expected(rows), f"{converged.converged}/{converged.networks}")
    return table


def _expected(rows: pd.DataFrame) -> list[str]:
    """What theory expects of networks, a dash where it does not hold for all, as their runs noted."""
    if rows[SLOTS.name].isna().any():
        return ["-"] * len(_THEORY)
    setup = Setup(int(rows["n_features"].iloc[0]), int(rows["n_hidden"].iloc[0]))
    return [number_or_dash(one.at(setup), 4) for one in _THEORY]
