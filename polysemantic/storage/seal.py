"""Zip archives that hold the checksum of their own content."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from pathlib import Path

_MARK = b"sha256:"
_END_OF_ZIP = b"PK\x05\x06"
_END_LENGTH = 22
_READ_AT_ONCE = 2**20


class CorruptFileError(ValueError):
    """A file whose content is not what was written."""


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
