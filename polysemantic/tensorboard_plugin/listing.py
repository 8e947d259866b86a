"""The runs below a log directory that have snapshots.

They are searched at each request, and the name in a request is looked up among them: it never becomes a path.
"""

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
        name: Path of the run directory, relative to the log directory.
        directory: The run directory.
        snapshots: The file of each step, by step.
    """

    name: str
    directory: Path
    snapshots: dict[int, Path]


def find_runs(logdir: str | None) -> Iterator[KeptRun]:
    """The runs with snapshots in a log directory and below it, in order of their names."""
    # `os.walk` follows no symbolic links, which could form cycles.
    for directory, inner, _ in os.walk(logdir) if logdir else ():
        inner.sort()
        if "weights" in inner and (snapshots := _snapshots(Path(directory, "weights"))):
            yield KeptRun(_name(os.path.relpath(directory, logdir)), Path(directory), snapshots)


def _snapshots(directory: Path) -> dict[int, Path]:
    found = {int(named[1]): path for path in directory.iterdir() if (named := _SNAPSHOT.fullmatch(path.name))}
    return dict(sorted(found.items()))


def _name(path: str) -> str:
    # The name of a file can be any bytes, but a page can only send text.
    return os.fsencode(path).decode("utf-8", "replace")
