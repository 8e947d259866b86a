"""Run directories: `lightning_logs/version_N`."""

from __future__ import annotations

import itertools
from pathlib import Path

RUNS = "lightning_logs"
"""Name of the directory that holds the run directories."""


def run_number(directory: Path) -> int | None:
    """The N of a `version_N`; None for another name, which a user gave."""
    number = directory.name.removeprefix("version_")
    return int(number) if number.isdecimal() else None


def new_run_directory(root: Path) -> Path:
    """Make the next free `version_N` under a root and return it; processes that do so at once get different ones."""
    runs = root / RUNS
    runs.mkdir(parents=True, exist_ok=True)
    taken = [number for path in runs.glob("version_*") if (number := run_number(path)) is not None]
    for number in itertools.count(max(taken, default=-1) + 1):
        directory = runs / f"version_{number}"
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        return directory
    raise AssertionError
