"""Memory that the machine has left."""

from __future__ import annotations

import contextlib
import math
import resource
from pathlib import Path

import torch

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def free_bytes(device: torch.device) -> float:
    """Bytes that this process could still allocate on a device; infinite where nothing tells."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return min(_free_of_machine(), *(_free_of_cgroup(*paths) for paths in _CGROUPS), _free_of_process())


def _free_of_machine() -> float:
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return math.inf


def _free_of_cgroup(limit: str, used: str) -> float:
    # The files are absent without this version of cgroups; the limit is the word "max" where there is none.
    with contextlib.suppress(OSError, ValueError):
        return int(Path(limit).read_text()) - int(Path(used).read_text())
    return math.inf


def _free_of_process() -> float:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    with contextlib.suppress(OSError):
        if limit != resource.RLIM_INFINITY:
            return limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return math.inf
