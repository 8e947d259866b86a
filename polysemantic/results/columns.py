"""The columns of results: what each is called, its unit, the range of its values and whether it counts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from math import inf, isfinite
from pathlib import Path
from typing import Any

from polysemantic.metrics import STANDARD, InstanceMetric
from polysemantic.storage.files import read_note

ROW = "row"
"""Group of the columns that say what a row is about and measure nothing."""
RUN = "run"
"""Group of the columns about a network's run as a whole: its length, its inputs, and what theory expects."""

SETTING = "setting"
"""Group of the columns that say how a network was trained: the same for every network of a run, or varied."""

_NOTE = "polysemantic.columns"


@dataclasses.dataclass(frozen=True)
class Column:
    """What is to be known of a column of `results.parquet` and `history.parquet`.

    Args:
        name: Its name in the tables.
        group: What it belongs to; the first part of its tag in TensorBoard.
        label: What axes call it; empty for the name in words.
        unit: What its values are in, or how to read them.
        range: The least and the greatest value that it can have: intervals end there.
        counts: Whether its values are whole numbers.
        short_label: What the tables of a terminal call it; empty for the label.
        at_end: Whether TensorBoard draws no curve of it, and shows its mean at the end of a run instead.
        at_most: The size that it cannot exceed, `n_features` or `n_hidden`; empty if there is none.

    Raises:
        ValueError: If `range` is no least and greatest value.

    Example:
        >>> column = Column("min_angle", "geometry", "smallest angle", "degrees", (0, 180))
        >>> column.axis, column.tag, column.is_share
        ('smallest angle (degrees)', 'geometry/min_angle', False)
    """

    name: str
    group: str
    label: str = ""
    unit: str = ""
    range: tuple[float, float] = (-inf, inf)
    counts: bool = False
    short_label: str = ""
    at_end: bool = False
    at_most: str = ""

    def __post_init__(self) -> None:
        if len(self.range) != 2 or not self.range[0] < self.range[1]:
            rule = "`range` must be a least and a greatest value"
            raise ValueError(f"{rule}, got {self.range} of {self.name}.")
        label = self.label or self.name.replace("_", " ")
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "short_label", self.short_label or label)

    def within(self, **sizes: int) -> Column:
        """The column of networks of one size, whose range ends there.

        Args:
            sizes: `n_features` and `n_hidden`.

        Example:
            >>> COLUMNS["polysemantic_neurons"].within(n_features=16, n_hidden=12).range
            (0, 12)
        """
        least, most = self.range
        size = sizes.get(self.at_most, inf)
        return dataclasses.replace(self, range=(least, size)) if least < size < most else self

    @property
    def axis(self) -> str:
        """The label of an axis: what the column is called, with the unit in brackets."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def tag(self) -> str:
        """Where TensorBoard shows it."""
        return f"end/{self.name}" if self.at_end else f"{self.group}/{self.name}"

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 1."""
        return self.range == (0, 1)

    @property
    def from_zero(self) -> bool:
        """Whether it counts from 0, where an axis then begins."""
        return self.counts and self.range[0] == 0


def described(metric: InstanceMetric | type[InstanceMetric]) -> Column:
    """The column of a metric, as its attributes describe it."""
    return Column(
        metric.column(),
        metric.group,
        metric.label,
        metric.unit,
        metric.range,
        metric.count_valued,
        metric.short_label,
        at_most=metric.at_most,
    )


def by_name(columns: Iterable[Column]) -> dict[str, Column]:
    """Columns under their names."""
    return {column.name: column for column in columns}


def of_sizes(columns: Mapping[str, Column], **sizes: int) -> dict[str, Column]:
    """Columns as they are of networks with these `n_features` and `n_hidden`."""
    return {name: column.within(**sizes) for name, column in columns.items()}


_FROM_ZERO = (0.0, inf)
_STEPS = "optimiser steps"
COSTLY = by_name(
    [
        Column("collision_cost", "collisions", "interference cost of collisions", range=_FROM_ZERO),
        Column("collision_excess_cost", "collisions", "excess interference cost of collisions"),
        Column("collisions_compensated", "collisions", "compensated collisions", range=_FROM_ZERO, counts=True),
        Column("collisions_disambiguated", "collisions", "disambiguated collisions", range=_FROM_ZERO, counts=True),
        Column("collisions_costly", "collisions", "costly collisions", range=_FROM_ZERO, counts=True),
        Column("disambiguation_neuron", "partition", "disambiguation neuron", "index", counts=True, at_end=True),
        Column("rotation_gap", "basis", "rotation gap", "loss"),
    ]
)
"""Columns that take too long to be measured every time."""

_OTHERS = [
    Column("instance", ROW, "network", "index in the run", counts=True),
    Column("seed", ROW, "seed", "index in the grid point", counts=True),
    Column("n_features", ROW, "features n", counts=True),
    Column("n_hidden", ROW, "neurons m", counts=True),
    Column("data", ROW, "input distribution"),
    Column("step", ROW, "training", _STEPS, counts=True),
    Column("converged_step", RUN, "convergence", _STEPS, counts=True, at_end=True),
    Column("diverged_step", RUN, "divergence", _STEPS, counts=True, at_end=True),
    Column("expected_polysemantic_neurons", RUN, "polysemantic neurons expected", at_end=True),
    Column("exposures", RUN, "exposures of a feature", "inputs with it on", at_end=True),
    Column("expected_companions", RUN, "expected companions", "features on beside a feature", at_end=True),
    Column("collisions_born", "collisions", "collisions born", range=_FROM_ZERO, counts=True, at_end=True),
    Column("collisions_settled", "collisions", "collisions settled", range=_FROM_ZERO, counts=True, at_end=True),
    Column("collisions_resolved", "collisions", "collisions resolved", range=_FROM_ZERO, counts=True, at_end=True),
]

_SETTINGS = [
    Column("run", SETTING, "run", "name of its directory"),
    Column("seed_everything", SETTING, "root of all draws", range=_FROM_ZERO, counts=True),
    Column("max_steps", SETTING, "training", _STEPS, range=(1, inf), counts=True),
    Column("precision", SETTING, "precision", "bits", (32, 64), counts=True),
    Column("batch_size", SETTING, "batch size", "inputs of a step", (1, inf), counts=True),
    Column("l1", SETTING, "L1 coefficient", range=_FROM_ZERO),
    Column("importance", SETTING, "importance", "ratio of neighbouring features", (0, 1)),
    Column("tied", SETTING, "tied"),
    Column("bias", SETTING, "output bias"),
    Column("act", SETTING, "hidden activation"),
    Column("noise", SETTING, "law of the hidden noise"),
    Column("noise_std", SETTING, "hidden noise", "standard deviation", _FROM_ZERO),
    Column("init", SETTING, "initial weights"),
    Column("init_scale", SETTING, "factor of the initial weights", range=_FROM_ZERO),
    Column("init_from", SETTING, "checkpoint of the initial weights"),
    Column("autoencoder", SETTING, "network"),
    Column("optimizer", SETTING, "optimiser"),
    Column("lr", SETTING, "learning rate", range=_FROM_ZERO),
    Column("weight_decay", SETTING, "weight decay", range=_FROM_ZERO),
    Column("lr_scheduler", SETTING, "schedule of the learning rate"),
    Column("clip_norm", SETTING, "largest norm of a gradient", range=_FROM_ZERO),
]

NO_METRICS = COSTLY | by_name([*_OTHERS, *_SETTINGS])
"""The columns of every run that are no metric's."""

COLUMNS: dict[str, Column] = by_name(map(described, STANDARD)) | NO_METRICS
"""The columns of every run; those of a run with metrics of the user's are these and theirs."""


def look_up(name: str, columns: Mapping[str, Column] = COLUMNS) -> Column:
    """A column by its name; one that nothing is known of has its name in words for a label, and any values.

    Args:
        name: The name in the tables.
        columns: The columns of the run.

    Example:
        >>> look_up("min_angle").axis, look_up("mean_of_mine").axis
        ('smallest angle between encodings (degrees)', 'mean of mine')
    """
    return columns.get(name) or Column(name, "measurements")


def setting_names(known: Mapping[str, Column]) -> set[str]:
    """The columns among those of a table that hold settings.

    Args:
        known: What the table's file says of its own columns (`read_columns`).
    """
    return {name for name, column in (COLUMNS | dict(known)).items() if column.group == SETTING}


def column_notes(columns: Mapping[str, Column]) -> dict[str, str]:
    """Notes for the file of a table, which describe the columns that not every run has."""
    own = [dataclasses.asdict(column) for name, column in columns.items() if name not in COLUMNS]
    for column in own:
        # JSON has no infinity.
        column["range"] = [end if isfinite(end) else None for end in column["range"]]
    return {_NOTE: json.dumps(own)} if own else {}


def read_columns(path: Path) -> dict[str, Column]:
    """The columns that the file of a table describes beside those of every run; none in files of earlier versions."""
    return _restored_columns(read_note(path, _NOTE))


def columns_of_notes(notes: Mapping[bytes, bytes]) -> dict[str, Column]:
    """The same from the notes of a table that was read."""
    return _restored_columns(notes.get(_NOTE.encode(), b""))


def _restored_columns(note: str | bytes | None) -> dict[str, Column]:
    return by_name(_restored(column) for column in json.loads(note or "[]"))


def _restored(kept: dict[str, Any]) -> Column:
    least, most = kept["range"]
    return Column(**kept | {"range": (-inf if least is None else least, inf if most is None else most)})
