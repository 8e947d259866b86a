"""What a report is made of: the networks of several runs side by side."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from polysemantic.report.labels import heading, value_text, value_texts
from polysemantic.report.sources import Point, Source, evenly
from polysemantic.results.columns import COLUMNS, Column

# What names a network and where it comes from, and is no hyperparameter.
_IDENTITY = ("run", "instance", "seed", "point")


@dataclasses.dataclass(frozen=True, eq=False)
class Material:
    """Runs side by side.

    Args:
        sources: The runs.
        results: Their results in one table, with a column for each axis, and `run` and `point`.
        axes: The columns in which the runs or their grid points differ on purpose.
        knobs: Those among them that belong to the input distribution.
        given: The paths that the report was asked for.
        missing: What is known of each cell of a sweep that has no results.
    """

    sources: list[Source]
    results: pd.DataFrame
    axes: list[str]
    knobs: list[str]
    given: list[Path]
    missing: Sequence[str] = ()

    @functools.cached_property
    def own_columns(self) -> dict[str, Column]:
        """The columns of the runs' own metrics, as the first run that has one describes it."""
        return {name: column for source in reversed(self.sources) for name, column in source.own_columns.items()}

    @property
    def columns(self) -> dict[str, Column]:
        """All columns that something is known of."""
        return COLUMNS | self.own_columns

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
        """The values of the axes in words, each by the name that the axis of a chart has."""
        shown = self.axes if axes is None else axes
        named = [f"{heading(axis)} = {self.text(axis, values[axis])}" for axis in shown if pd.notna(values[axis])]
        if shown and not named:
            return f"without {', '.join(map(heading, shown))}"
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
        return self.point_label(run.iloc[0], [axis for axis in self.axes if not takes_several(run, axis)])

    def shown_points(self, at_most: int) -> list[Point]:
        """Some grid points, evenly from all of them."""
        return evenly(self.points, at_most)

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


def takes_several(results: pd.DataFrame, column: str) -> bool:
    """Whether a column tells networks apart by a setting."""
    return column in results and column not in _IDENTITY and results[column].dropna().astype(str).nunique() > 1
