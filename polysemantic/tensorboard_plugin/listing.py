"""Runs that kept snapshots, found anew at each request: a name from outside is looked up, never made into a path."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

_SNAPSHOT = re.compile(r"step_([0-9]+)\.npz")


@dataclasses.dataclass(frozen=True)
class KeptRun:
    """A run with snapshots.

    Args:
        name: The run directory, seen from the log directory.
        directory: The run directory.
        snapshots: The file of each step, in order.
    """

    name: str
    directory: Path
    snapshots: dict[int, Path]


def find_runs(logdir: str | None) -> Iterator[KeptRun]:
    """The runs in a log directory and below it that have snapshots, in order of their names."""
    # Symbolic links are not followed: they could lead in circles.
    for directory, inner, _ in os.walk(logdir) if logdir else ():
        inner.sort()
        if "weights" in inner and (snapshots := _snapshots(Path(directory, "weights"))):
            yield KeptRun(_name(os.path.relpath(directory, logdir)), Path(directory), snapshots)


def _snapshots(directory: Path) -> dict[int, Path]:
    found = {int(named[1]): path for path in directory.iterdir() if (named := _SNAPSHOT.fullmatch(path.name))}
    return dict(sorted(found.items()))


def _name(path: str) -> str:
    # A file's name need not be text; what a page sends back must be.
    return os.fsencode(path).decode("utf-8", "replace")
