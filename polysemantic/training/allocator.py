"""Settings of the C library's malloc: which freed memory it keeps, and which it returns to the kernel.

Only glibc can be told, by mallopt(3) and malloc_trim(3). Elsewhere the functions here do nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Iterator
from typing import Any

# M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# The largest M_MMAP_THRESHOLD that glibc accepts, and its default, in bytes.
_LARGEST, _DEFAULT = 2**25, 2**17


def raise_malloc_thresholds() -> None:
    """Let malloc reuse freed allocations of up to 32 MiB, whose pages are mapped already.

    By default larger allocations go back to the kernel as soon as they are freed. Page faults on fresh memory then cost
    more than the arithmetic on it.
    """
    _set_thresholds(_LARGEST)


@contextlib.contextmanager
def default_malloc_thresholds() -> Iterator[None]:
    """Within the block, freed memory returns to the kernel, as allocations of many sizes would fragment the heap."""
    _set_thresholds(_DEFAULT)
    try:
        yield
    finally:
        raise_malloc_thresholds()


def trim_heap() -> None:
    """Return all freed memory to the kernel."""
    if malloc_trim := libc_function("malloc_trim"):
        malloc_trim(0)


def _set_thresholds(n_bytes: int) -> None:
    if mallopt := libc_function("mallopt"):
        mallopt(_MMAP_THRESHOLD, n_bytes)
        mallopt(_TRIM_THRESHOLD, 2 * n_bytes)


@functools.cache
def libc_function(name: str) -> Any:
    """A function of the C library, or None where there is no such function."""
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None
