from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polysemantic.storage.run_directories import RUNS
from polysemantic.sweep.check import Checker
from polysemantic.sweep.reader import Config, Reader, config_hash, get_at, set_at, short_hash, without_paths
from polysemantic.sweep.spec import Point, SweepSpec, canonical
from polysemantic.training.module import EnsembleModule

SWEEPS = "sweeps"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Args:
        point: Its value of every axis; the list of all values where the ensemble holds the axis.
        config: Its resolved configuration.
        moved: The axes that its ensemble holds.
        batch: Inputs of one of its steps, None for every feature once.
        n_features: Its features.
    """

    point: Point
    config: Config
    moved: tuple[str, ...]
    batch: int | None
    n_features: int

    @functools.cached_property
    def hash(self) -> str:
        """The name of its run directory."""
        return config_hash(self.config)

    @property
    def n_instances(self) -> int:
        """Networks that it trains."""
        ensemble = self.config["ensemble"]
        return int(ensemble["seeds"]) * math.prod(map(len, (ensemble["vary"] or {}).values()))


@dataclasses.dataclass(frozen=True)
class Plan:
    """A sweep whose every run is resolved and checked.

    Args:
        spec: The sweep's file.
        base: The resolved configuration that every run starts from.
        cells: The runs.
    """

    spec: SweepSpec
    base: Config
    cells: list[Cell]

    @property
    def content(self) -> Config:
        """The content by whose hash the sweep is named."""
        spec = self.spec
        axes = {"axes": spec.axes, "zip": spec.zip, "exclude": spec.exclude}
        return {"name": spec.name, "base": without_paths(self.base), **axes}

    @property
    def directory(self) -> Path:
        """The directory of the sweep."""
        root = Path(self.base["trainer"]["default_root_dir"] or ".").absolute()
        return root / RUNS / SWEEPS / f"{self.spec.name}-{short_hash(self.content)}"


def make_plan(spec: SweepSpec) -> Plan:
    """Resolve and check every run of a sweep.

    The parser of the command line takes a tenth of a second to read a configuration. So it reads each combination of
    options that choose classes, and of the numbers and texts one value of a kind. The runs are put together from these.

    Args:
        spec: The sweep's file.

    Raises:
        ValueError: If an option is unknown or a value breaks its rule.
    """
    reader = Reader(spec.base)
    # An axis may be what gives an option its value.
    base = reader.plain(reader.read(spec.overrides, whole=False))
    if base.get("ckpt_path") is not None:
        raise ValueError(f"`ckpt_path` must be unset in a sweep, got {base['ckpt_path']!r}.")
    structural = [key for key, values in spec.options.items() if not _is_simple(key, values, base)]
    groups: dict[str, list[Point]] = {}
    for point in spec.points():
        groups.setdefault(json.dumps([point[key] for key in structural]), []).append(point)
    cells: dict[str, Cell] = {}
    for points in groups.values():
        chosen = {key: points[0][key] for key in structural}
        cells |= {cell.hash: cell for cell in _Group(spec, reader, chosen, points).cells()}
    return Plan(spec, base, list(cells.values()))


def _path(key: str) -> tuple[str, ...]:
    """The path of an option in a resolved configuration."""
    names = canonical(key).split(".")
    return ("data", "init_args", *names[1:]) if names[0] == "data" and len(names) > 1 else tuple(names)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_simple(key: str, values: list[Any], base: Config) -> bool:
    """Whether an option is a number or text on which the presence of other options does not depend."""
    section, *names = canonical(key).split(".")
    if key != "seed_everything" and (section not in ("model", "data", "trainer", "ensemble") or len(names) != 1):
        return False
    is_number = not isinstance(get_at(base, _path(key)), (str, bool))
    return not any(
        value is None or isinstance(value, (dict, list, str) if is_number else (dict, list)) for value in values
    )


def _kind(value: Any) -> Any:
    """The kind of a value: the parser reads all values of one kind alike."""
    return type(value) if _is_number(value) else (type(value), value)


class _Group:
    """The runs of the same classes.

    Args:
        spec: The sweep's file.
        reader: Reads configurations.
        chosen: The options that they share.
        points: The values of all options, for each of them.
    """

    def __init__(self, spec: SweepSpec, reader: Reader, chosen: Point, points: list[Point]) -> None:
        self.spec, self.points = spec, points
        self.simple = [key for key in spec.options if key not in chosen]
        kinds = {key: list({_kind(point[key]): point[key] for point in points}.values()) for key in self.simple}
        self.read: dict[tuple[str, Any], Any] = {}
        for at in reversed(range(max(map(len, kinds.values()), default=1))):
            options = {key: values[at % len(values)] for key, values in kinds.items()}
            first = reader.read(spec.overrides | chosen | options)
            self.template = reader.plain(first)
            for key, value in options.items():
                self.read[key, _kind(value)] = get_at(self.template, _path(key))
        self.checker = Checker(reader.instantiate(first))
        self.moved = self._moved()

    def _moved(self) -> dict[str, str]:
        """The axes that the ensemble can hold, and the names by which it holds them."""
        fixed = {key for keys in (*self.spec.zip, *self.spec.exclude) for key in keys}
        varied = self.template["ensemble"]["vary"] or {}
        moved: dict[str, str] = {}
        for key in self.simple:
            section, _, name = canonical(key).partition(".")
            can_vary = {"model": EnsembleModule.can_vary, "data": self.checker.data.can_vary}.get(section, ())
            if key not in fixed and name in can_vary and all(map(_is_number, self.spec.axes[key])):
                if name in varied:
                    raise ValueError(f"`axes` must not name what `ensemble.vary` of the base holds, got {key!r}.")
                moved[key] = name
        return moved

    def cells(self) -> Iterator[Cell]:
        """The runs, each checked; points that differ only in what the ensemble holds are one run."""
        seen = set()
        for point in self.points:
            fixed = {key: value for key, value in point.items() if key not in self.moved}
            if (identity := json.dumps(fixed)) not in seen:
                seen.add(identity)
                yield self._cell(fixed)

    def _cell(self, fixed: Point) -> Cell:
        held = {key: self.spec.axes[key] for key in self.moved}
        config = self.template
        for key in self.simple:
            value = held[key][0] if key in held else fixed[key]
            config = set_at(config, _path(key), self._resolved(key, value))
        if held:
            vary = {self.moved[key]: list(map(float, values)) for key, values in held.items()}
            config = set_at(config, ("ensemble", "vary"), (config["ensemble"]["vary"] or {}) | vary)
        data = self.checker.check(config)
        batch = None if data.every_feature_once else data.batch_size
        point = {key: held.get(key, fixed.get(key)) for key in self.spec.options}
        return Cell(point, config, tuple(self.moved), batch, data.n_features)

    def _resolved(self, key: str, value: Any) -> Any:
        """A value as the parser would read it, known from a value of the same kind that it has read."""
        read = self.read[key, _kind(value)]
        return type(read)(value) if _is_number(value) else read
