"""Weights that cross the thresholds of lives, and tables of lives in the form of the oracle."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
import torch
from torch import Tensor


def wandering(shape: tuple[int, ...], n_steps: int = 60) -> list[Tensor]:
    """A random walk between -1 and 1 that crosses the thresholds often, in either direction."""
    w, history = torch.zeros(shape), []
    for _ in range(n_steps):
        w = (w + 0.25 * torch.randn(shape)).clamp(-1, 1)
        history.append(w)
    return history


def none_for_missing(values: Iterable[Any]) -> list[Any]:
    """A column with None for nulls."""
    return [None if pd.isna(value) else value for value in values]


def rows(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Lives in the form and order of the oracle."""
    names = ["instance", "neuron", "feature_i", "feature_j", "born_step", "settled_step", "resolved_step", "ended_by"]
    return sorted(zip(*(none_for_missing(table[name]) for name in names), strict=True), key=str)
