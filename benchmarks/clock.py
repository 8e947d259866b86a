from __future__ import annotations

import time

import torch
from threadpoolctl import threadpool_limits

_clock = time.perf_counter
_device = torch.device("cpu")


def now() -> float:
    """Seconds, of the wall clock unless told otherwise, once the device has done what it was asked for."""
    if not on_cpu():
        torch.accelerator.synchronize()
    return _clock()


def device() -> torch.device:
    """Where everything is trained."""
    return _device


def on_cpu() -> bool:
    """Whether that is the CPU."""
    return _device.type == "cpu"


def use_device(device: torch.device) -> None:
    """Train on another device, the same for the whole process."""
    global _device
    _device = device


def find_device(name: str) -> torch.device:
    """The device of a name.

    Raises:
        ValueError: If torch finds none of that name.
    """
    here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    known = ["cpu"] if here is None else ["cpu", here.type]
    if name not in known:
        raise ValueError(f"`device` must be what torch finds here, {' or '.join(known)}, got {name!r}.")
    return torch.device(name)


def use_processor_time() -> None:
    """Compute in one thread and count this process's own time, which others that use the machine do not lengthen."""
    global _clock
    _clock = time.process_time
    torch.set_num_threads(1)
    threadpool_limits(1)  # numpy's BLAS library has threads of its own


def is_wall() -> bool:
    """Whether time is that of the wall clock."""
    return _clock is time.perf_counter
