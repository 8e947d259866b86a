from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pandas.api.types import is_object_dtype
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from polysemantic.results.columns import COLUMNS, Column, column_notes, read_columns
from polysemantic.results.converged import Converged
from polysemantic.results.glossary import glossary
from polysemantic.results.predictions import PAPER, SLOTS, number_or_dash
from polysemantic.results.settings import short_names
from polysemantic.results.setups import Setup
from polysemantic.results.tables import explained, narrow, own_summaries, too_wide, within_sizes
from polysemantic.storage.files import write_parquet, write_whole
from polysemantic.sweep.plan import Plan
from polysemantic.sweep.reader import parse_yaml

SWEEP = "sweep.yaml"
CELLS = "cells"
RESULTS = "results.parquet"
_CLASS = re.compile(r"(\w+[.])+[A-Z]\w*")
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


def label(value: Any) -> Any:
    """A value of an axis as it stands in a table; a class by its name and arguments.

    Example:
        >>> label({"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}})
        'SGD(lr=0.1)'
    """
    if isinstance(value, dict) and "class_path" in value:
        arguments = ", ".join(f"{name}={label(given)}" for name, given in (value.get("init_args") or {}).items())
        return label(value["class_path"]) + (f"({arguments})" if arguments else "")
    if isinstance(value, str) and _CLASS.fullmatch(value):
        return value.rpartition(".")[2]
    return str(value) if isinstance(value, (dict, list)) else value


def collect(directory: Path) -> pd.DataFrame:
    """Rebuild a sweep's `results.parquet` from the tables of its finished runs, and return it.

    Args:
        directory: The sweep's directory.

    Raises:
        ValueError: If it holds no sweep or no finished run.
    """
    if not (directory / SWEEP).is_file():
        raise ValueError(f"`collect` must name a sweep's directory or configuration, got {str(directory)!r}.")
    sweep = parse_yaml((directory / SWEEP).read_text())
    names = _names(sweep)
    cells = {name: fixed for name, fixed in sweep["cells"].items() if _results(directory, name).is_file()}
    if not cells:
        raise ValueError(f"`collect` must find finished runs, got none in {str(directory)!r}.")
    tables = [_read(_results(directory, name)) for name in cells]
    results = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    points = pd.DataFrame([{names[key]: label(value) for key, value in fixed.items()} for fixed in cells.values()])
    points = points.assign(cell=list(cells)).loc[points.index.repeat([len(table) for table in tables])]
    columns = {str(name): column for name, column in points.reset_index(drop=True).items()}
    for key in {key for fixed in cells.values() for key in names.keys() - fixed.keys()}:
        # Held by the ensemble, of all cells or of some.
        held = results[key.rpartition(".")[2]]
        columns[names[key]] = columns[names[key]].fillna(held) if names[key] in columns else held
    results = _plain(results.assign(**columns))
    own = {name: of for cell in cells for name, of in read_columns(_results(directory, cell)).items()}
    write_parquet(directory / RESULTS, results, column_notes(own))
    return results


def _results(directory: Path, cell: str) -> Path:
    return directory / CELLS / cell / RESULTS


def _read(path: Path) -> pa.Table:
    # Of a small file, threads and memory maps cost more than its reading.
    return pq.ParquetFile(pa.BufferReader(path.read_bytes())).read(use_threads=False)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of several kinds, as an axis may have, as text."""
    mixed = [str(name) for name in table if is_object_dtype(table[name]) and table[name].map(type).nunique() > 1]
    return table.assign(**{name: table[name].map(_text) for name in mixed})


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def axes_of(directory: Path) -> list[str]:
    """The columns of a sweep's axes."""
    return list(_names(parse_yaml((directory / SWEEP).read_text())).values())


def _names(sweep: dict[str, Any]) -> dict[str, str]:
    return short_names([*sweep["axes"], *(key for group in sweep["zip"] for key in group)])


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
    return f"- under {PAPER.formula}: no theory, which assumes {PAPER.assumes}"


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
