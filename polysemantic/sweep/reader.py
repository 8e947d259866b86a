from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from polysemantic.cli.class_change import discard_init_args_on_class_change
from polysemantic.cli.command import PolysemanticCLI
from polysemantic.results.sweeps import parse_yaml

Config = dict[str, Any]

# Paths say where a run lies and have no effect on its results.
_PATHS = (("trainer", "default_root_dir"), ("ckpt_path",))


class CellCLI(PolysemanticCLI):
    """The command `fit`, with a parser that is built once for all runs of a process."""

    _built: ClassVar[dict[str, Any]] = {}

    def __init__(self, args: list[str] | dict[str, Any], directory: Path | None = None) -> None:
        # Lightning warns if the process has arguments, which here are the sweep's.
        with mock.patch.object(sys, "argv", sys.argv[:1]):
            super().__init__(args, directory)

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        # A run is this one process, whatever started it: under SLURM, Ray's workers have the rank of their node.
        rank_zero_only.rank = 0  # type: ignore[attr-defined]
        devices = self.config["fit"].trainer.devices
        one: dict[str, Any] = {"strategy": "auto", "devices": 1 if devices == "auto" else devices, "num_nodes": 1}
        return super().instantiate_trainer(**kwargs, **one)

    @override
    def setup_parser(self, *args: Any) -> None:
        if not self._built:
            before = set(vars(self))
            super().setup_parser(*args)
            self._built.update({name: value for name, value in vars(self).items() if name not in before})
        vars(self).update(self._built)


class _Unrun(CellCLI):
    """Reads its arguments, of which some may be missing, and makes and trains nothing."""

    @override
    def parse_arguments(self, parser: Any, args: Any) -> None:
        with discard_init_args_on_class_change():
            self.config = parser.parse_args(args, _skip_validation=True)

    @override
    def instantiate_classes(self) -> None:
        """Nothing."""

    @override
    def _run_subcommand(self, subcommand: str) -> None:
        pass


class Reader:
    """Reads configurations of `fit` from a file and options, on one parser.

    Args:
        base: The file.
    """

    def __init__(self, base: Path) -> None:
        self.base = base

    @functools.cached_property
    def _base(self) -> Namespace:
        cli = _Unrun(["fit", f"--config={self.base}"])
        self._parser = cli._parser("fit")
        config: Namespace = cli.config["fit"]
        return config

    def read(self, options: dict[str, Any], *, whole: bool = True) -> Namespace:
        """The whole configuration with some options set.

        Args:
            options: The options.
            whole: Whether every option that must have a value has one by now.

        Raises:
            ValueError: If an option is unknown or a value breaks its rule.
        """
        # Options that choose a class come before the options of the class.
        ordered = sorted(options.items(), key=lambda item: item[0].count("."))
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), discard_init_args_on_class_change():
                base = self._base
                args = [f"--{key}={_text(value)}" for key, value in ordered]
                config: Namespace = self._parser.parse_args(args, namespace=base, _skip_validation=not whole)
        except SystemExit:
            raise ValueError(said.getvalue().strip().removeprefix("error: ")) from None
        return config

    def plain(self, config: Namespace) -> Config:
        """A configuration as nested mappings."""
        plain: Config = parse_yaml(self._parser.dump(config, skip_none=False, skip_validation=True))
        return plain

    def instantiate(self, config: Namespace) -> Namespace:
        """The objects of a configuration."""
        made: Namespace = self._parser.instantiate_classes(config)
        return made


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def without_paths(config: Config) -> Config:
    """A configuration without the paths of its run and without `quiet`."""
    for *groups, last in _PATHS:
        at = config
        for group in groups:
            at = at.get(group) or {}
        if last in at:
            config = set_at(config, (*groups, last), None)
    return {key: value for key, value in config.items() if key not in ("ckpt_path", "quiet")}


def set_at(config: Config, path: tuple[str, ...], value: Any) -> Config:
    """A configuration with one value set, that shares all else."""
    first, *rest = path
    return {**config, first: set_at(config.get(first) or {}, tuple(rest), value) if rest else value}


def get_at(config: Config, path: tuple[str, ...]) -> Any:
    """A value of a configuration, None where there is none."""
    at: Any = config
    for name in path:
        at = at.get(name) if isinstance(at, dict) else None
    return at


def short_hash(content: Any) -> str:
    """Twelve hexadecimal digits that stand for plain data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def config_hash(config: Config) -> str:
    """What names a run: the hash of its resolved configuration without paths."""
    return short_hash(without_paths(config))
