"""What the C library does with memory that was freed."""

from __future__ import annotations

import ctypes
import os

import torch


def keep_freed_memory() -> None:
    """Let an allocation take over the memory of one freed before, whose pages are there already.

    The C library hands an allocation back to the kernel when it is freed, unless a larger one of at most 32 MiB was
    freed before (mallopt(3), M_MMAP_THRESHOLD), and fresh pages cost more than what is computed in them. This tensor is
    that larger one; it is never touched and costs nothing.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def give_freed_memory_back() -> None:
    """Hand what was kept back to the kernel, where the C library has a word for it (malloc_trim(3))."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
