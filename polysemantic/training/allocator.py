"""What the C library's malloc does with freed memory.

Only glibc can be told, by malloc_trim(3). Elsewhere the function here does nothing.
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any


def trim_heap() -> None:
    """Return all freed memory to the kernel."""
    if malloc_trim := libc_function("malloc_trim"):
        malloc_trim(0)


@functools.cache
def libc_function(name: str) -> Any:
    """A function of the C library, or None where there is no such function."""
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None
