"""What the C library does with memory that was freed, where it can be told (mallopt(3), malloc_trim(3))."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Iterator
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# The most that the library allows, and where it begins.
_LARGEST, _USUAL = 2**25, 2**17


def keep_freed_memory() -> None:
    """Let an allocation of at most 32 MiB take over the memory of one freed before, whose pages are there already.

    Otherwise larger ones go back to the kernel when they are freed, and fresh pages cost more than what is computed in
    them.
    """
    _keep(_LARGEST)


@contextlib.contextmanager
def freed_memory_returns() -> Iterator[None]:
    """Within, memory goes back to the kernel when it is freed: pieces of many sizes would leave gaps between them."""
    _keep(_USUAL)
    try:
        yield
    finally:
        keep_freed_memory()


def give_freed_memory_back() -> None:
    """Hand what was kept back to the kernel."""
    if trim := _of_library("malloc_trim"):
        trim(0)


def _keep(largest: int) -> None:
    if mallopt := _of_library("mallopt"):
        mallopt(_MMAP_THRESHOLD, largest)
        mallopt(_TRIM_THRESHOLD, 2 * largest)


@functools.cache
def _of_library(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None
