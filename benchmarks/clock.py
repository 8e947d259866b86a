from __future__ import annotations

import time

import torch

_clock = time.perf_counter


def now() -> float:
    """Seconds, of the wall clock unless told otherwise."""
    return _clock()


def use_processor_time() -> None:
    """Compute in one thread and count this process's own time, which others that use the machine do not lengthen."""
    global _clock
    _clock = time.process_time
    torch.set_num_threads(1)


def is_wall() -> bool:
    """Whether time is that of the wall clock."""
    return _clock is time.perf_counter
