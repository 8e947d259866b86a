"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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


def write_parquet(path: Path, table: pd.DataFrame, notes: Mapping[str, str] | None = None) -> None:
    """Write a table as parquet, whole or not at all.

    Args:
        path: The file.
        table: The table; its index is left out.
        notes: Texts about the table by name, which `read_note` gives back and pandas passes over.
    """
    if not notes:
        write_whole(path, table.to_parquet(index=False))
        return
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    content = io.BytesIO()
    pq.write_table(arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **notes}), content)
    write_whole(path, content.getvalue())


def read_note(path: Path, name: str) -> str | None:
    """A text that `write_parquet` put beside a table; None if there is none."""
    text = (pq.read_schema(path).metadata or {}).get(name.encode())
    return None if text is None else text.decode()


def remove_unfinished(directory: Path) -> None:
    """Remove unfinished files that killed processes left, in a directory and below it."""
    for path in directory.rglob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)
