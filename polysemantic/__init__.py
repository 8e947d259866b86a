"""Incidental polysemanticity: ensembles of toy autoencoders, and the life of every collision in them."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polysemantic.api import fit
    from polysemantic.autoencoder import Autoencoder
    from polysemantic.ensemble import Ensemble
    from polysemantic.runs import Run, load

# torch's library for products would keep what it frees for itself, ten megabytes for each kind of product, where a run
# has the C library keep memory for all (`polysemantic.freed`). It reads this when it is loaded, and never again.
os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")

__all__ = ["Autoencoder", "Ensemble", "Run", "fit", "load"]

_HOMES = {"fit": "api", "Autoencoder": "autoencoder", "Ensemble": "ensemble", "Run": "runs", "load": "runs"}


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds: `--help` and shell completion should not wait for it.
    if name in _HOMES:
        return getattr(importlib.import_module(f"polysemantic.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'polysemantic' has no attribute {name!r}")
