"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

_UNFINISHED = ".part"


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[io.BufferedWriter]:
    """An open file beside its target, which replaces the target at the end; after an error it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp keeps the file to its owner; a result is as readable as any file of the user's.
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as file:
        file.write(content)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet, whole or not at all."""
    write_whole(path, table.to_parquet(index=False))


def remove_unfinished(directory: Path) -> None:
    """Remove unfinished files that killed processes left, in a directory and below it."""
    for path in directory.rglob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)
