"""The tables of a sweep's finished runs, joined."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from pandas.api.types import is_object_dtype

from polysemantic.results.columns import Column, columns_of_notes
from polysemantic.results.settings import axis_columns

SWEEP = "sweep.yaml"
CELLS = "cells"
RESULTS = "results.parquet"
_CLASS = re.compile(r"(\w+[.])+[A-Z]\w*")


def all_cells(directory: Path) -> list[str]:
    """The names of a sweep's runs, in the order of `sweep.yaml` if it names its runs."""
    listed = parse_yaml((directory / SWEEP).read_text()).get("cells")
    return sorted(path.name for path in (directory / CELLS).glob("*")) if listed is None else list(listed)


def finished_cells(directory: Path) -> list[str]:
    """The names of those that are finished."""
    return [name for name in all_cells(directory) if (directory / CELLS / name / RESULTS).is_file()]


def joined(directory: Path) -> pd.DataFrame:
    """One row for each network of a sweep's finished runs, with a column for each axis, and `cell`.

    Args:
        directory: The sweep's directory, which holds a finished run.
    """
    return joined_with_columns(directory)[0]


def joined_with_columns(directory: Path) -> tuple[pd.DataFrame, dict[str, Column]]:
    """`joined`, and what the runs' tables say of their own columns."""
    sweep = parse_yaml((directory / SWEEP).read_text())
    names, listed = axis_columns(sweep), sweep.get("cells") or {}
    cells = {name: listed.get(name, {}) for name in finished_cells(directory)}
    tables = [_read(directory / CELLS / name / RESULTS) for name in cells]
    own = {name: column for table in tables for name, column in columns_of_notes(table.schema.metadata or {}).items()}
    results = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    points = pd.DataFrame([{names[key]: label(value) for key, value in fixed.items()} for fixed in cells.values()])
    points = points.assign(cell=list(cells)).loc[points.index.repeat([len(table) for table in tables])]
    columns = {str(name): column for name, column in points.reset_index(drop=True).items()}
    for key in {key for fixed in cells.values() for key in names.keys() - fixed.keys()}:
        # Held by the ensemble, of all cells or of some.
        held = results[key.rpartition(".")[2]]
        columns[names[key]] = columns[names[key]].fillna(held) if names[key] in columns else held
    return _plain(results.assign(**columns)), own


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


def parse_yaml(text: str) -> Any:
    """The content of YAML, read by the loader in C where there is one."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _read(path: Path) -> pa.Table:
    # Of a small file, threads and memory maps cost more than its reading.
    return pq.ParquetFile(pa.BufferReader(path.read_bytes())).read(use_threads=False)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of several kinds, as an axis may have, as text."""
    mixed = [str(name) for name in table if is_object_dtype(table[name]) and table[name].map(type).nunique() > 1]
    return table.assign(**{name: table[name].map(_text) for name in mixed})


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
