from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from polysemantic.validation.suggestions import did_you_mean

_KEYS = ("base", "overrides", "axes", "zip", "exclude")

Point = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class SweepSpec:
    """A sweep as its file has it: which options to set in which runs. Keys are dotted as on the command line.

    Args:
        name: Name of the sweep, that of its file.
        base: The configuration that every run starts from.
        overrides: Options of every run, which replace options of `base`.
        axes: For each option its values; every combination is a run.
        zip: Groups of options whose values go together, first with first; each group is one more axis.
        exclude: Combinations to leave out: for each option a value, or a list of values.

    Raises:
        ValueError: If an option is named twice, a group has lists of several lengths, `exclude` names what is no axis,
            or nothing is left.
    """

    name: str
    base: Path
    overrides: Point = dataclasses.field(default_factory=dict)
    axes: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    zip: list[dict[str, list[Any]]] = dataclasses.field(default_factory=list)
    exclude: list[Point] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.base.is_file():
            raise ValueError(f"`base` must be an existing file, got {str(self.base)!r}.")
        _check_distinct([canonical(key) for group in (self.axes, *self.zip) for key in group])
        for group in self.zip:
            if len({len(values) for values in group.values()}) != 1:
                sizes = ", ".join(f"{len(values)} of {key}" for key, values in group.items())
                raise ValueError(f"`zip` must hold lists of one length, got {sizes or 'nothing'}.")
        for key in itertools.chain(*self.exclude):
            if key not in self.options:
                raise ValueError(f"`exclude` must name axes, got {key!r}{did_you_mean(key, self.options)}")
        if next(self.points(), None) is None:
            raise ValueError("`exclude` must leave at least one cell, got none.")

    @property
    def options(self) -> dict[str, list[Any]]:
        """The values of every option that differs between runs, of axes and zip groups alike."""
        return self.axes | {key: values for group in self.zip for key, values in group.items()}

    def points(self) -> Iterator[Point]:
        """The combinations that are not excluded, each a value for every option; the last axis changes fastest."""
        axes = [[{key: value} for value in values] for key, values in self.axes.items()]
        groups = [
            [dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True)] for group in self.zip
        ]
        for combination in itertools.product(*axes, *groups):
            point = {key: value for values in combination for key, value in values.items()}
            if not any(_matches(point, rule) for rule in self.exclude):
                yield point


def _check_distinct(keys: list[str]) -> None:
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"`axes` must name each option once, got {key} twice.")


def _matches(point: Point, rule: Point) -> bool:
    return all(point[key] in (value if isinstance(value, list) else [value]) for key, value in rule.items())


def canonical(key: str) -> str:
    """An option's one name: arguments of the data may be given with `init_args` or without."""
    return f"data.{key.removeprefix('data.init_args.')}" if key.startswith("data.init_args.") else key


def read_sweep(path: Path) -> SweepSpec:
    """A sweep from its file.

    Args:
        path: The file; `base` is relative to it.

    Raises:
        ValueError: If the file does not hold a sweep.
    """
    given = _mapping(path)
    for key in given:
        if key not in _KEYS:
            raise ValueError(f"a sweep must hold {', '.join(_KEYS)} alone, got {key!r}{did_you_mean(str(key), _KEYS)}")
    if not isinstance(given.get("base"), str):
        raise ValueError(f"`base` must name a configuration of `fit`, got {given.get('base')!r}.")
    zipped = given.get("zip") or []
    return SweepSpec(
        path.stem,
        path.parent / given["base"],
        _mapping_of("overrides", given),
        _axes_of("axes", given),
        [_axes_of("zip", {"zip": group}) for group in (zipped if isinstance(zipped, list) else [zipped])],
        [_mapping_of("exclude", {"exclude": rule}) for rule in given.get("exclude") or []],
    )


def _axes_of(name: str, given: dict[Any, Any]) -> dict[str, list[Any]]:
    axes = _mapping_of(name, given)
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"`{name}` must hold a list of values for {key}, got {values!r}.")
        for at, value in enumerate(values):
            if name == "axes" and value in values[:at]:
                raise ValueError(f"`axes` must hold distinct values for {key}, got {value!r} twice.")
    return axes


def _mapping(path: Path) -> dict[Any, Any]:
    if not path.is_file():
        raise ValueError(f"`config` must be an existing file, got {str(path)!r}.")
    try:
        # Unlike plain YAML this reads 1e-3 as a number, as the command line does.
        given = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except yaml.YAMLError as error:
        raise ValueError(f"`config` must be YAML, got an error {' '.join(str(error).split())}") from error
    if not isinstance(given, dict):
        raise ValueError(f"`config` must hold a mapping, got {str(path)!r}.")
    return given


def _mapping_of(name: str, given: dict[Any, Any]) -> dict[str, Any]:
    found = given.get(name) or {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ValueError(f"`{name}` must be a mapping of options, got {found!r}.")
    return found
