"""Files that appear whole or not at all, checkpoints that know their checksum, and run directories."""

from __future__ import annotations

import hashlib
import itertools
import os
import struct
import tempfile
from pathlib import Path

import pandas as pd

RUNS = "lightning_logs"
_MARK = b"sha256:"
_END_OF_ZIP = b"PK\x05\x06"


class CorruptFileError(ValueError):
    """A file whose content is not what was written."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its target, flush it to the disk and move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp keeps the file to its owner; a result is as readable as any file of the user's.
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet, whole or not at all."""
    write_whole(path, table.to_parquet(index=False))


def seal(archive: bytes) -> bytes:
    """A zip archive with the checksum of its content as the archive's own comment, still a plain zip archive."""
    comment = _MARK + hashlib.sha256(archive[:-2]).hexdigest().encode()
    if archive[-22:-18] != _END_OF_ZIP or archive[-2:] != b"\0\0":
        raise ValueError("`archive` must be a zip archive without a comment.")
    return archive[:-2] + struct.pack("<H", len(comment)) + comment


def check_seal(content: bytes, path: Path | str, option: str = "ckpt_path") -> None:
    """Refuse a sealed archive that is truncated or changed.

    Args:
        content: The archive.
        path: Where it comes from, for the error.
        option: The option that named it, for the error.

    Raises:
        CorruptFileError: If there is no checksum at the end or it is not that of the content.
    """
    length = len(_MARK) + 64
    body, size, comment = content[: -length - 2], content[-length - 2 : -length], content[-length:]
    if size != struct.pack("<H", length) or not comment.startswith(_MARK):
        raise CorruptFileError(
            f"`{option}` must be a whole checkpoint of this framework, got {path} without its checksum."
        )
    if hashlib.sha256(body).hexdigest().encode() != comment[len(_MARK) :]:
        raise CorruptFileError(f"`{option}` must match its checksum, got other content: {path} is damaged.")


def new_run_directory(root: Path) -> Path:
    """Make and give the next free `version_N` under the root's run directories; safe between processes."""
    runs = root / RUNS
    runs.mkdir(parents=True, exist_ok=True)
    names = [path.name.removeprefix("version_") for path in runs.glob("version_*")]
    taken = [int(name) for name in names if name.isdigit()]
    for number in itertools.count(max(taken, default=-1) + 1):
        directory = runs / f"version_{number}"
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        return directory
    raise AssertionError
