"""Files that appear whole or not at all, checkpoints that know their checksum, and run directories."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

RUNS = "lightning_logs"
_MARK = b"sha256:"
_END_OF_ZIP = b"PK\x05\x06"
_END_LENGTH = 22
_READ_AT_ONCE = 2**20


class CorruptFileError(ValueError):
    """A file whose content is not what was written."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[io.BufferedWriter]:
    """A file to write beside its target, flushed to the disk and moved into place at the end, or gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
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


class SealedWriter:
    """Writes a zip archive with the checksum of its content as the archive's own comment, still a plain zip archive.

    What passes through is never held: an archive may be larger than the memory that is left.

    Args:
        file: Where to write.
    """

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        self._checksum = hashlib.sha256()
        self._held = b""

    def write(self, data: bytes | memoryview) -> int:
        """Write all but the last bytes so far, which may turn out to be the archive's end."""
        if len(data) >= _END_LENGTH:
            self._pass_on(self._held)
            self._pass_on(memoryview(data)[:-_END_LENGTH])
            self._held = bytes(data[-_END_LENGTH:])
        else:
            held = self._held + bytes(data)
            self._pass_on(held[:-_END_LENGTH])
            self._held = held[-_END_LENGTH:]
        return len(data)

    def _pass_on(self, data: bytes | memoryview) -> None:
        self._checksum.update(data)
        self._file.write(data)

    def flush(self) -> None:
        """Nothing: the end is held back until the seal."""

    def seal(self) -> None:
        """Write the end and the checksum.

        Raises:
            ValueError: If what was written is no zip archive, or one with a comment.
        """
        if len(self._held) < _END_LENGTH or not self._held.startswith(_END_OF_ZIP) or self._held[-2:] != b"\0\0":
            raise ValueError("`archive` must be a zip archive without a comment.")
        self._pass_on(self._held[:-2])
        comment = _MARK + self._checksum.hexdigest().encode()
        self._file.write(struct.pack("<H", len(comment)) + comment)


def check_seal(file: io.BufferedIOBase, path: Path | str, option: str = "ckpt_path") -> None:
    """Refuse a sealed archive that is truncated or changed.

    Args:
        file: The archive.
        path: Where it comes from, for the error.
        option: The option that named it, for the error.

    Raises:
        CorruptFileError: If there is no checksum at the end or it is not that of the content.
    """
    length = len(_MARK) + 64
    body = file.seek(0, os.SEEK_END) - length - 2
    file.seek(max(body, 0))
    size, comment = file.read(2), file.read()
    if body < 0 or size != struct.pack("<H", length) or not comment.startswith(_MARK):
        raise CorruptFileError(
            f"`{option}` must be a whole checkpoint of this framework, got {path} without its checksum."
        )
    file.seek(0)
    checksum = hashlib.sha256()
    for at in range(0, body, _READ_AT_ONCE):
        checksum.update(file.read(min(_READ_AT_ONCE, body - at)))
    if checksum.hexdigest().encode() != comment[len(_MARK) :]:
        raise CorruptFileError(f"`{option}` must match its checksum, got other content: {path} is damaged.")


def remove_parts(directory: Path) -> None:
    """Remove what processes that were killed left of files that they were writing."""
    for path in directory.rglob(".*.part"):
        path.unlink(missing_ok=True)


def run_number(directory: Path) -> int | None:
    """The N of a `version_N`, None for what people put beside those."""
    number = directory.name.removeprefix("version_")
    return int(number) if number.isdecimal() else None


def new_run_directory(root: Path) -> Path:
    """Make and give the next free `version_N` under the root's run directories; safe between processes."""
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
