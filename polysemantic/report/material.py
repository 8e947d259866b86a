"""What a report is made of: finished runs, and sweeps of them."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from polysemantic.model.ensemble import Ensemble
from polysemantic.report.labels import value_text, value_texts
from polysemantic.results.settings import Setting, settings, short_names
from polysemantic.storage.runs import read_snapshot

Snapshot = dict[str, torch.Tensor]

# What names a network and where it comes from, and is no hyperparameter.
_IDENTITY = ("run", "instance", "seed", "point")


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A finished run.

    Args:
        name: What the report calls it.
        directory: The run directory.
        config: The resolved configuration.
        versions: Versions of what trained it; empty if they were not noted.
        results: One row for each network.
        swept: Columns that the sweep added to them.
    """

    name: str
    directory: Path
    config: dict[str, Any]
    versions: dict[str, str]
    results: pd.DataFrame
    swept: tuple[str, ...] = ()

    @functools.cached_property
    def ensemble(self) -> Ensemble:
        """Its grid points and seeds."""
        return Ensemble(**self.config["ensemble"])

    @property
    def settings(self) -> dict[str, Setting]:
        """Its settings by dotted key, without those that vary within the run."""
        return {k: v for k, v in settings(self.config).items() if k.rpartition(".")[2] not in self.ensemble.vary}

    def table(self, name: str) -> pd.DataFrame | None:
        """`history` or `collisions`, if the run has it."""
        path = self.directory / f"{name}.parquet"
        return pd.read_parquet(path) if path.is_file() else None

    def snapshots(self) -> dict[int, Path]:
        """The files of weights by step."""
        paths = sorted((self.directory / "weights").glob("step_*.npz"))
        return {int(path.stem.removeprefix("step_")): path for path in paths}


@dataclasses.dataclass(frozen=True, eq=False)
class Point:
    """A grid point of a run.

    Args:
        source: The run.
        label: What is particular about it.
        instances: The networks in the run.
    """

    source: Source
    label: str
    instances: range

    @property
    def coverage(self) -> float:
        """The mean coverage of its networks at the end, to three digits."""
        rows = self.source.results[self.source.results["instance"].isin(self.instances)]
        return float(f"{rows['coverage'].mean():.3g}")

    @property
    def sound(self) -> list[int]:
        """Those of its networks that did not diverge."""
        rows = self.source.results[self.source.results["diverged_step"].isna()]["instance"]
        return sorted(rows[rows.isin(self.instances)])

    def table(self, name: str) -> pd.DataFrame | None:
        """The rows of `history` of its networks, or of `collisions` of those that did not diverge, if there are any."""
        table = self.source.table(name)
        networks = self.sound if name == "collisions" else self.instances
        rows = None if table is None else table[table["instance"].isin(networks)]
        return None if rows is None or rows.empty else rows

    def snapshots(self, at_most: int) -> tuple[int, dict[int, Snapshot]] | None:
        """A network whose weights were kept, and these by step, the first and last among them."""
        paths = self.source.snapshots()
        if not paths:
            return None
        with np.load(next(iter(paths.values())), allow_pickle=False) as file:
            kept = file["instance"].tolist()
        network = next((instance for instance in self.instances if instance in kept), None)
        if network is None:
            return None
        at = kept.index(network)
        read = (read_snapshot(paths[step]) for step in spread(list(paths), at_most))
        return network, {step: {k: w[at] for k, w in arrays.items() if k != "instance"} for step, arrays in read}


@dataclasses.dataclass(frozen=True, eq=False)
class Material:
    """Runs side by side.

    Args:
        sources: The runs.
        results: Their results in one table, with a column for each axis, and `run` and `point`.
        axes: The columns in which the runs or their grid points differ on purpose.
        knobs: Those among them that belong to the input distribution.
        given: The paths that the report was asked for.
        unfinished: How many cells of sweeps have no results.
    """

    sources: list[Source]
    results: pd.DataFrame
    axes: list[str]
    knobs: list[str]
    given: list[Path]
    unfinished: int = 0

    @functools.cached_property
    def points(self) -> list[Point]:
        """Every grid point of every run, in the order of its values."""
        found = []
        sources = {source.name: source for source in self.sources}
        for _, first in self.results.drop_duplicates(["run", "point"]).iterrows():
            source, at = sources[first["run"]], first["point"]
            seeds = source.ensemble.seeds
            found.append(Point(source, self.point_label(first), range(at * seeds, (at + 1) * seeds)))
        labels = [point.label for point in found]
        repeated = {label for label in labels if labels.count(label) > 1}
        return [dataclasses.replace(p, label=f"{p.source.name} {p.label}") if p.label in repeated else p for p in found]

    def point_label(self, values: Mapping[Any, Any] | pd.Series[Any], axes: list[str] | None = None) -> str:
        """The values of the axes in words."""
        shown = self.axes if axes is None else axes
        named = [f"{axis} = {self.text(axis, values[axis])}" for axis in shown if pd.notna(values[axis])]
        return ", ".join(named) or "all networks"

    def text(self, axis: str, value: Any) -> str:
        """A value of an axis in words, no longer than tells it from the others."""
        return self._texts.get(axis, {}).get(value) or value_text(value)

    @functools.cached_property
    def _texts(self) -> dict[str, dict[Any, str]]:
        values = {axis: self.results[axis].dropna().unique().tolist() for axis in self.axes}
        return {axis: dict(zip(found, value_texts(found), strict=True)) for axis, found in values.items()}

    @functools.cached_property
    def run_names(self) -> dict[str, str]:
        """What people call each run: a sweep's cell by its settings, with its directory where others have the same."""
        cells = {source.name for source in self.sources if source.directory.resolve().parent.name == "cells"}
        said = {str(name): self._fixed(rows) for name, rows in self.results.groupby("run") if name in cells}
        shared = Counter(said.values())
        told = {name: text if shared[text] == 1 else f"{text} ({name})" for name, text in said.items()}
        return {source.name: told.get(source.name, source.name) for source in self.sources}

    def _fixed(self, run: pd.DataFrame) -> str:
        """What a run's networks share of what differs between runs, in words."""
        return self.point_label(run.iloc[0], [axis for axis in self.axes if not _takes_several(run, axis)])

    def shown_points(self, at_most: int) -> list[Point]:
        """Some grid points, spread over all of them."""
        return spread(self.points, at_most)

    @property
    def description(self) -> str:
        """The inputs, sizes and number of networks in a few words."""
        parts = [f"{_range(self.results['data'])} inputs", f"{_range(self.results['n_features'])} features"]
        parts += [f"{_range(self.results['n_hidden'])} neurons", f"{len(self.results)} networks"]
        return ", ".join(parts)


def _range(values: pd.Series[Any]) -> str:
    distinct = list(dict.fromkeys(values.tolist()))
    numbers = all(isinstance(value, (int, float)) for value in distinct)
    if len(distinct) > 3:
        return f"{min(distinct)} to {max(distinct)}" if numbers else f"{len(distinct)} kinds of"
    *most, last = map(str, sorted(distinct) if numbers else distinct)
    return f"{', '.join(most)} and {last}" if most else last


def spread(items: list[Any], at_most: int) -> list[Any]:
    """At most so many items in their order, the first and last among them.

    Example:
        >>> spread([1, 2, 3, 4, 5], 3)
        [1, 3, 5]
    """
    if len(items) <= at_most:
        return items
    return [items[round(at)] for at in np.linspace(0, len(items) - 1, at_most)]


def read_material(paths: list[Path]) -> Material:
    """Read runs and sweeps.

    Raises:
        ValueError: If a path is neither a finished run nor a sweep with one.
    """
    # By where they really are: a run under two names, or beside the sweep that it belongs to, is one run.
    found: dict[Path, tuple[Path, pd.DataFrame | None]] = {}
    unfinished = 0
    given = list({path.resolve(): path for path in paths}.values())
    for path in given:
        cells = sorted(cell for cell in path.glob("cells/*") if cell.is_dir())
        finished = [cell for cell in cells if _is_run(cell)]
        unfinished += len(cells) - len(finished)
        if not finished and not _is_run(path):
            raise ValueError(f"`report` must be given a finished run or a sweep, got {str(path)!r}.")
        table = pd.read_parquet(path / "results.parquet") if finished and _has_cells(path) else None
        for run in finished or [path]:
            if table is not None or run.resolve() not in found:
                found[run.resolve()] = run, table
    names = _names([path for path, _ in found.values()])
    sources = [_read(name, path, table) for name, (path, table) in zip(names, found.values(), strict=True)]
    return _side_by_side(sources, given, unfinished)


def _is_run(path: Path) -> bool:
    return (path / "results.parquet").is_file() and (path / "config.yaml").is_file()


def _has_cells(sweep: Path) -> bool:
    path = sweep / "results.parquet"
    return path.is_file() and "cell" in pd.read_parquet(path)


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
    results = pd.read_parquet(directory / "results.parquet")
    swept: list[str] = []
    if of_sweep is not None:
        rows = of_sweep[of_sweep["cell"].astype(str) == directory.name]
        swept = [str(column) for column in rows if column not in results and column != "cell"]
        results = results.merge(rows[["instance", *swept]], on="instance", how="left")
    return Source(
        name,
        directory,
        yaml.safe_load((directory / "config.yaml").read_text()),
        yaml.safe_load(versions.read_text()) if versions.is_file() else {},
        results,
        tuple(swept),
    )


def _side_by_side(sources: list[Source], given: list[Path], unfinished: int) -> Material:
    varied = list(dict.fromkeys(name for source in sources for name in source.ensemble.vary))
    every = list(dict.fromkeys(key for source in sources for key in settings(source.config)))
    differing = [key for key in every if _differs(key, sources) or key.rpartition(".")[2] in varied]
    names = short_names(differing)
    results = pd.concat([_rows(source, names) for source in sources], ignore_index=True)
    columns = [*names.values(), *varied, "n_features", "n_hidden", "data"]
    extra = [column for source in sources for column in source.swept]
    told = {name for key, name in names.items() if _is_told(key, name, results, extra)}
    axes = [name for name in dict.fromkeys([*columns, *extra]) if name not in told and _takes_several(results, name)]
    results = results.sort_values(axes, kind="stable", key=_in_order, ignore_index=True) if axes else results
    order = {name: at for at, name in enumerate(results["run"].unique())}
    sources = sorted(sources, key=lambda source: order[source.name])
    knobs = {name for key, name in names.items() if key.startswith("data.")} - {"n_features", "batch_size"}
    return Material(sources, results, axes, [axis for axis in axes if axis in knobs], given, unfinished)


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


def _takes_several(results: pd.DataFrame, column: str) -> bool:
    return column in results and column not in _IDENTITY and results[column].dropna().astype(str).nunique() > 1
