"""Incidental polysemanticity: ensembles of toy autoencoders, and the life of every collision in them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # What is imported under its own name, type checkers and editors take for public.
    from polysemantic import callbacks as callbacks
    from polysemantic import data as data
    from polysemantic import functional as functional
    from polysemantic import metrics as metrics
    from polysemantic import random as random
    from polysemantic import theory as theory
    from polysemantic.api.fitting import fit
    from polysemantic.api.measuring import measure
    from polysemantic.model.autoencoder import Autoencoder
    from polysemantic.model.ensemble import Ensemble
    from polysemantic.results.runs import Run, Sweep, load
    from polysemantic.training.module import EnsembleModule

__all__ = ["Autoencoder", "Ensemble", "EnsembleModule", "Run", "Sweep", "fit", "load", "measure"]

_HOMES = {
    "Autoencoder": "model.autoencoder",
    "Ensemble": "model.ensemble",
    "EnsembleModule": "training.module",
    "Run": "results.runs",
    "Sweep": "results.runs",
    "fit": "api",
    "load": "results.runs",
    "measure": "api",
}
_PUBLIC_MODULES = ("callbacks", "data", "functional", "metrics", "random", "theory")


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds, for which `--help` and shell completion must not wait.
    if name in _HOMES:
        return getattr(importlib.import_module(f"polysemantic.{_HOMES[name]}"), name)
    if name in _PUBLIC_MODULES:
        return importlib.import_module(f"polysemantic.{name}")
    raise AttributeError(f"module 'polysemantic' has no attribute {name!r}")


def __dir__() -> list[str]:
    special = {name for name in globals() if name.startswith("__")}
    return sorted({*special, *__all__, *_PUBLIC_MODULES})
