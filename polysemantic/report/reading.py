"""Reads finished runs, and sweeps of them, into the material of a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from polysemantic.report.labels import heading, value_text
from polysemantic.report.material import Material, takes_several
from polysemantic.report.sources import Source
from polysemantic.results.columns import read_columns, setting_names
from polysemantic.results.settings import axis_columns, flat, settings, short_names


def read_material(paths: list[Path]) -> Material:
    """Read runs and sweeps.

    Raises:
        ValueError: If a path is neither a finished run nor a sweep with one.
    """
    # By where they really are: a run under two names, or beside the sweep that it belongs to, is one run.
    found: dict[Path, tuple[Path, pd.DataFrame | None]] = {}
    missing: list[str] = []
    given = list({path.resolve(): path for path in paths}.values())
    for path in given:
        cells = sorted(cell for cell in path.glob("cells/*") if cell.is_dir())
        finished = [cell for cell in cells if _is_run(cell)]
        if not finished and not _is_run(path):
            raise ValueError(f"`report` must be given a finished run or a sweep, got {str(path)!r}.")
        missing += _missing(path, cells, {cell.name for cell in finished}) if finished else []
        table = _of_sweep(path) if finished and _has_cells(path) else None
        for run in finished or [path]:
            if table is not None or run.resolve() not in found:
                found[run.resolve()] = run, table
    names = _names([path for path, _ in found.values()])
    sources = [_read(name, path, table) for name, (path, table) in zip(names, found.values(), strict=True)]
    return _side_by_side(sources, given, missing)


def _is_run(path: Path) -> bool:
    return (path / "results.parquet").is_file() and (path / "config.yaml").is_file()


def _missing(sweep: Path, begun: list[Path], finished: set[str]) -> list[str]:
    """What is known of each cell of a sweep that has no results: its settings, and how far it came."""
    path = sweep / "sweep.yaml"
    planned = (yaml.safe_load(path.read_text()) if path.is_file() else {}).get("cells") or {}
    names = dict.fromkeys([*planned, *(cell.name for cell in begun)])
    return [
        f"{_cell(planned.get(name)) or name}: {_state(sweep / 'cells' / name)}"
        for name in names
        if name not in finished
    ]


def _cell(values: dict[str, Any] | None) -> str:
    fixed = flat(values or {})
    return ", ".join(f"{heading(key.rpartition('.')[2])} = {value_text(value)}" for key, value in fixed.items())


def _state(cell: Path) -> str:
    """How far a cell without results came, by the note that `sweep` keeps in it."""
    if not cell.is_dir():
        return "not begun"
    path = cell / "cell.yaml"
    note = (yaml.safe_load(path.read_text()) if path.is_file() else None) or {}
    return f"failed ({note.get('error')})" if note.get("state") == "failed" else "begun, and not finished"


def _has_cells(sweep: Path) -> bool:
    path = sweep / "results.parquet"
    return path.is_file() and "cell" in pd.read_parquet(path)


def _of_sweep(sweep: Path) -> pd.DataFrame:
    """The axes of a sweep for each of its networks."""
    table, about = pd.read_parquet(sweep / "results.parquet"), sweep / "sweep.yaml"
    axes = axis_columns(yaml.safe_load(about.read_text())).values() if about.is_file() else table.columns
    return table[[name for name in table if name in {"cell", "instance", *axes}]]


def _names(paths: list[Path]) -> list[str]:
    """The last part of each path, with as much of its parents as tells it apart."""
    parts = [path.absolute().parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names


def _read(name: str, directory: Path, of_sweep: pd.DataFrame | None) -> Source:
    versions = directory / "versions.yaml"
    config = yaml.safe_load((directory / "config.yaml").read_text())
    own = read_columns(directory / "results.parquet")
    # The configuration has the settings too, and those of runs of earlier versions.
    told = setting_names(own) - set(config["ensemble"].get("vary") or {})
    results = pd.read_parquet(directory / "results.parquet").drop(columns=list(told), errors="ignore")
    swept: list[str] = []
    if of_sweep is not None:
        rows = of_sweep[of_sweep["cell"].astype(str) == directory.name]
        swept = [str(column) for column in rows if column not in results and column != "cell"]
        results = results.merge(rows[["instance", *swept]], on="instance", how="left")
    return Source(
        name,
        directory,
        config,
        yaml.safe_load(versions.read_text()) if versions.is_file() else {},
        results,
        tuple(swept),
        {name: column for name, column in own.items() if name not in told},
    )


def _side_by_side(sources: list[Source], given: list[Path], missing: list[str]) -> Material:
    varied = list(dict.fromkeys(name for source in sources for name in source.ensemble.vary))
    every = list(dict.fromkeys(key for source in sources for key in settings(source.config)))
    differing = [key for key in every if _differs(key, sources) or key.rpartition(".")[2] in varied]
    names = short_names(differing)
    results = pd.concat([_rows(source, names) for source in sources], ignore_index=True)
    columns = [*names.values(), *varied, "n_features", "n_hidden", "data"]
    extra = [column for source in sources for column in source.swept]
    told = {name for key, name in names.items() if _is_told(key, name, results, extra)}
    axes = [name for name in dict.fromkeys([*columns, *extra]) if name not in told and takes_several(results, name)]
    results = results.sort_values(axes, kind="stable", key=_in_order, ignore_index=True) if axes else results
    order = {name: at for at, name in enumerate(results["run"].unique())}
    sources = sorted(sources, key=lambda source: order[source.name])
    knobs = {name for key, name in names.items() if key.startswith("data.")} - {"n_features", "batch_size"}
    return Material(sources, results, axes, [axis for axis in axes if axis in knobs], given, missing)


def _in_order(column: pd.Series[Any]) -> pd.Series[Any]:
    return column if pd.api.types.is_numeric_dtype(column) else column.astype(str)


def _differs(key: str, sources: list[Source]) -> bool:
    return len({repr(source.settings.get(key)) for source in sources} - {"None"}) > 1


def _is_told(key: str, name: str, results: pd.DataFrame, swept: list[str]) -> bool:
    """Whether a setting is an argument of a class that the sweep names with its arguments, and follows from that."""
    group = key.rpartition(".")[0]
    held = next((column for column in (group, group.rpartition(".")[2]) if column in swept), None)
    if held is None or name in swept or name not in results:
        return False
    return bool((results.groupby(held, dropna=False)[name].nunique() <= 1).all())


def _rows(source: Source, names: dict[str, str]) -> pd.DataFrame:
    rows = source.results.assign(run=source.name, point=source.results["instance"] // source.ensemble.seeds)
    known = {names[key]: value for key, value in source.settings.items() if key in names}
    return rows.assign(**{name: value for name, value in known.items() if name not in rows})
