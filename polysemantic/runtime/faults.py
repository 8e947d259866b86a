"""Faults of storage, memory or another process, each explained in one line."""

from __future__ import annotations

import errno

import torch
from torch import distributed

from polysemantic.storage.run_directories import RUNS

_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed."""
    allocators = ("DefaultCPUAllocator", "not enough memory")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in allocators)
    )


def explain_fault(error: BaseException) -> str | None:
    """One line on a fault of storage, memory or another process; None for anything else."""
    if isinstance(error, OSError) and (error.errno in _STORAGE or RUNS in str(error.filename)):
        said = f"{error.strerror}: {error.filename}"
    elif is_out_of_memory(error):
        said = "out of memory"
    elif _is_of_another_process(error):
        said = "another process of the run has ended, and so this one"
    else:
        return None
    return "; ".join([said, *getattr(error, "__notes__", [])])


def _is_of_another_process(error: BaseException) -> bool:
    lost = ("gloo", "Connection closed", "Connection reset", "Broken pipe")
    return isinstance(error, distributed.DistError) or (
        type(error) is RuntimeError and any(text in str(error) for text in lost)
    )
