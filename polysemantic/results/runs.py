"""Finished runs and sweeps, read from their directories."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml
from torch import Tensor

from polysemantic.model.ensemble import Ensemble
from polysemantic.results.columns import COLUMNS, Column, read_columns
from polysemantic.results.pages import page
from polysemantic.results.settings import axis_columns
from polysemantic.results.sweeps import CELLS, RESULTS, SWEEP, all_cells, finished_cells, joined, parse_yaml
from polysemantic.storage.checkpoints import checkpoint_of, read_checkpoint
from polysemantic.storage.snapshots import read_snapshot
from polysemantic.validation.suggestions import did_you_mean

if TYPE_CHECKING:
    # Matplotlib takes a quarter of a second to import.
    from matplotlib.figure import Figure


@dataclasses.dataclass(repr=False)
class Run:
    """What a run left behind.

    Args:
        directory: The run directory.
        config: The resolved configuration.
        results: One row for each instance, the end state.
        history: One row for each instance and measured step.
        collisions: One row for each collision's life; None if the run did not follow them.
        weights: Snapshots by step, each with `W_enc`, `W_dec` if untied, `b_dec` if any, and `instance`.
    """

    directory: Path
    config: dict[str, Any]
    results: pd.DataFrame
    history: pd.DataFrame
    collisions: pd.DataFrame | None
    weights: dict[int, dict[str, Tensor]]

    @property
    def model(self) -> dict[str, Tensor]:
        """The final parameters of every instance: `W_enc`, `W_dec` if untied and `b_dec` if any."""
        state = read_checkpoint(checkpoint_of(self.directory))["state_dict"]
        return {name.removeprefix("autoencoder."): values for name, values in state.items()}

    @functools.cached_property
    def ensemble(self) -> Ensemble:
        """The grid points and seeds of the instances."""
        return Ensemble(**self.config["ensemble"])

    @property
    def varied(self) -> list[str]:
        """The columns in which the grid points differ."""
        return list(self.ensemble.vary)

    @property
    def columns(self) -> dict[str, Column]:
        """What is known of the columns of `results` and `history`, by name."""
        return COLUMNS | read_columns(self.directory / RESULTS)

    def plot(self, x: str | None = None, y: str = "polysemantic_neurons") -> Figure:
        """A measurement against what varied, beside the coverage without which a count means nothing.

        Every network is a point, and each mean has its 95 % interval over networks. What else varies has a colour.

        Args:
            x: A column of `results`, such as `l1`, or `step` for the way there; None for the first that varies, or
                else `step`.
            y: A measurement.

        Returns:
            A figure of matplotlib, which a notebook shows; `savefig` writes it to a file.

        Raises:
            ValueError: If `x` or `y` is no column, or `y` has no numbers.

        Example:
            >>> run.plot(x="l1", y="polysemantic_neurons").savefig("l1.png")  # doctest: +SKIP
        """
        return _plot(self.results, self.history, self.varied, x, y, self.columns)

    def _facts(self) -> list[str]:
        first = self.results.iloc[0]
        points = len(self.ensemble.points)
        grid = f" = {points} grid points x {self.ensemble.seeds} seeds" if points > 1 else ""
        return [
            f"{len(self.results)} networks{grid}",
            f"{first['data']}, {first['n_features']} features, {first['n_hidden']} neurons",
            f"step {self.results['step'].max()}",
            *_varies(self.ensemble.vary),
        ]

    def __repr__(self) -> str:
        return f"Run({str(self.directory)!r}: {'; '.join(self._facts())})"

    def _repr_html_(self) -> str:
        return page("Run", self.directory, self._facts(), self.results, self.varied, self.columns)


@dataclasses.dataclass(repr=False)
class Sweep:
    """What a sweep left behind, as far as its runs are finished.

    Args:
        directory: The sweep's directory.
        config: The content of `sweep.yaml`.
        results: One row for each instance of each finished run, with a column for each axis, and `cell`.
        cells: The names of the finished runs, which are those of their directories below `cells/`.
        unfinished: How many runs are not.
    """

    directory: Path
    config: dict[str, Any]
    results: pd.DataFrame
    cells: list[str]
    unfinished: int

    @functools.cached_property
    def runs(self) -> dict[str, Run]:
        """The finished runs by cell."""
        return {cell: load_run(self.directory / CELLS / cell) for cell in self.cells}

    @functools.cached_property
    def history(self) -> pd.DataFrame:
        """The histories of all runs, with the columns of the axes, and `cell`."""
        return self._together({cell: run.history for cell, run in self.runs.items()})

    @functools.cached_property
    def collisions(self) -> pd.DataFrame | None:
        """The lives of all runs' collisions, with the columns of the axes, and `cell`; None if none followed them."""
        found = {cell: run.collisions for cell, run in self.runs.items() if run.collisions is not None}
        return self._together(found) if found else None

    def _together(self, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        every = pd.concat([table.assign(cell=cell) for cell, table in tables.items()], ignore_index=True)
        # An axis that an ensemble holds is in its histories already.
        keys = ["cell", "instance"]
        axes = self.results[[*keys, *self.varied]]
        return every.drop(columns=self.varied, errors="ignore").merge(axes, on=keys, how="left")

    @property
    def varied(self) -> list[str]:
        """The columns of the axes, and of what varies within every run beside them."""
        axes = [name for name in axis_columns(self.config).values() if name in self.results]
        within = (self.config.get("base") or {}).get("ensemble") or {}
        return list(dict.fromkeys([*axes, *(within.get("vary") or {})]))

    @property
    def columns(self) -> dict[str, Column]:
        """What is known of the columns of `results` and `history`, by name."""
        files = (self.directory / CELLS / cell / RESULTS for cell in self.cells)
        return COLUMNS | {name: column for file in files for name, column in read_columns(file).items()}

    def plot(self, x: str | None = None, y: str = "polysemantic_neurons") -> Figure:
        """A measurement against an axis, beside coverage; see `Run.plot`."""
        history = self.history if x == "step" else self.results
        return _plot(self.results, history, self.varied, x, y, self.columns)

    def _facts(self) -> list[str]:
        return [
            f"{len(self.cells)} of {len(self.cells) + self.unfinished} runs finished, {len(self.results)} networks",
            *_varies({name: self.results[name].drop_duplicates().tolist() for name in self.varied}),
        ]

    def __repr__(self) -> str:
        return f"Sweep({str(self.directory)!r}: {'; '.join(self._facts())})"

    def _repr_html_(self) -> str:
        return page("Sweep", self.directory, self._facts(), self.results, self.varied, self.columns)


def load(directory: Path | str) -> Run | Sweep:
    """Read a finished run, or a sweep with finished runs.

    Args:
        directory: A run directory (`lightning_logs/version_N`), or that of a sweep (`lightning_logs/sweeps/NAME-HASH`).

    Raises:
        FileNotFoundError: If there is neither in this directory.
    """
    path = Path(directory).expanduser()
    if not (path / SWEEP).is_file():
        return load_run(path)
    cells = finished_cells(path)
    if not cells:
        raise FileNotFoundError(f"`directory` must hold a sweep with a finished run, got none in {str(directory)!r}.")
    config = parse_yaml((path / SWEEP).read_text())
    kept = pd.read_parquet(path / RESULTS) if (path / RESULTS).is_file() else pd.DataFrame({"cell": []})
    # Runs may have ended since the table was written.
    results = kept if set(kept["cell"]) == set(cells) else joined(path)
    return Sweep(path, config, results, cells, len(all_cells(path)) - len(cells))


def load_run(directory: Path | str) -> Run:
    """Read a finished run.

    Raises:
        FileNotFoundError: If there is no finished run in this directory.
    """
    path = Path(directory).expanduser()
    if not all((path / name).is_file() for name in (RESULTS, "config.yaml")):
        near = [run.parent.name for run in sorted(path.glob(f"*/{RESULTS}"))]
        raise FileNotFoundError(
            f"`directory` must be that of a finished run or of a sweep, got {str(directory)!r}"
            + (f"; did you mean {near[-1]} in it?" if near else ".")
        )
    collisions = path / "collisions.parquet"
    return Run(
        path,
        yaml.safe_load((path / "config.yaml").read_text()),
        pd.read_parquet(path / RESULTS),
        pd.read_parquet(path / "history.parquet"),
        pd.read_parquet(collisions) if collisions.is_file() else None,
        dict(read_snapshot(file) for file in sorted((path / "weights").glob("step_*.npz"))),
    )


def _varies(vary: Mapping[str, list[Any]]) -> list[str]:
    return [f"varied: {', '.join(f'{name} ({len(values)} values)' for name, values in vary.items())}"] if vary else []


def _plot(
    results: pd.DataFrame,
    history: pd.DataFrame,
    varied: list[str],
    x: str | None,
    y: str,
    columns: Mapping[str, Column],
) -> Figure:
    from polysemantic.results.plots import draw

    x = x or next(iter(varied), "step")
    table = history if x == "step" else results
    for name, column in (("x", x), ("y", y)):
        if column not in table:
            near = did_you_mean(column, map(str, table.columns)) or "."
            such = f", such as {', '.join(varied) or 'l1'}" if name == "x" else ""
            raise ValueError(f"`{name}` must be a column of the results{such}, got {column!r}{near}")
    if not pd.api.types.is_numeric_dtype(table[y]) or table[y].isna().all():
        raise ValueError(f"`y` must be a column of numbers, got {y!r}, which has none.")
    return draw(table, x, y, [name for name in varied if name != x], columns)
