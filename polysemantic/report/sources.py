"""A finished run as a report reads it, and its grid points."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from polysemantic.model.ensemble import Ensemble
from polysemantic.results.columns import Column
from polysemantic.results.settings import Setting, settings
from polysemantic.results.setups import Setup, setups_of_config
from polysemantic.storage.snapshots import read_snapshot

Snapshot = dict[str, torch.Tensor]
Item = TypeVar("Item")


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
        own_columns: What the run says of the columns of its own metrics.
    """

    name: str
    directory: Path
    config: dict[str, Any]
    versions: dict[str, str]
    results: pd.DataFrame
    swept: tuple[str, ...] = ()
    own_columns: dict[str, Column] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def ensemble(self) -> Ensemble:
        """Its grid points and seeds."""
        return Ensemble(**self.config["ensemble"])

    @functools.cached_property
    def setups(self) -> list[Setup]:
        """What predictions ask about each of its grid points."""
        return setups_of_config(self.config, int(self.results["n_features"].iloc[0]))

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
    def number(self) -> int:
        """Which grid point of its run it is, counted from 0."""
        return self.instances.start // self.source.ensemble.seeds

    @property
    def setup(self) -> Setup:
        """What predictions ask about it."""
        return self.source.setups[self.number]

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
        read = (read_snapshot(paths[step]) for step in evenly(list(paths), at_most))
        return network, {step: {k: w[at] for k, w in arrays.items() if k != "instance"} for step, arrays in read}


def evenly(items: list[Item], at_most: int) -> list[Item]:
    """At most so many items in their order, the first and last among them.

    Example:
        >>> evenly([1, 2, 3, 4, 5], 3)
        [1, 3, 5]
    """
    if len(items) <= at_most:
        return items
    return [items[round(at)] for at in np.linspace(0, len(items) - 1, at_most)]
