"""Environment variables that the libraries below torch read once, when they are loaded."""

from __future__ import annotations

import os

LIBRARY_DEFAULTS = {
    # Intel MKL keeps the buffers of its matrix products for later products, 10 MB for each kind of product. A run
    # already lets the C library keep freed memory (`polysemantic.training.allocator`), which serves all allocations.
    "MKL_DISABLE_FAST_MM": "1",
    # GNU OpenMP threads spin-wait for 3 ms after a parallel region and take the cores from our own thread pool
    # (`polysemantic.engine.threaded`). 20000 spins last 0.2 ms.
    "GOMP_SPINCOUNT": "20000",
}


def set_library_defaults() -> None:
    """Set the variables that the user left unset, for this process and those that it starts.

    Only processes of our own commands call this, before they import torch: a library must not change the environment
    of the program that imports it.
    """
    for name, value in LIBRARY_DEFAULTS.items():
        os.environ.setdefault(name, value)
