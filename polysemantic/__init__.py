"""Incidental polysemanticity: ensembles of toy autoencoders, and the life of every collision in them."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polysemantic.api import fit
    from polysemantic.model.autoencoder import Autoencoder
    from polysemantic.model.ensemble import Ensemble
    from polysemantic.storage.runs import Run, load
    from polysemantic.training.module import EnsembleModule

# What torch's libraries read when they are loaded, and never again. That for products would keep what it frees for
# itself, ten megabytes for each kind of product, where a run has the C library keep memory for all
# (`training.allocator`). And threads that have computed would wait busily for three milliseconds on cores that those of
# spread steps (`polysemantic.engine.threaded`) are about to use.
os.environ.setdefault("MKL_DISABLE_FAST_MM", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

__all__ = ["Autoencoder", "Ensemble", "EnsembleModule", "Run", "fit", "load"]

_HOMES = {
    "Autoencoder": "model.autoencoder",
    "Ensemble": "model.ensemble",
    "EnsembleModule": "training.module",
    "Run": "storage.runs",
    "fit": "api",
    "load": "storage.runs",
}


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds: `--help` and shell completion should not wait for it.
    if name in _HOMES:
        return getattr(importlib.import_module(f"polysemantic.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'polysemantic' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
