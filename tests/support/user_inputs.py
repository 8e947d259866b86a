"""A DataModule as a user would write it, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from polysemantic import random
from polysemantic.data import InputDataModule
from polysemantic.model.ensemble import Ensemble


class Mine(InputDataModule):
    """A right class of a user's: features are on independently."""

    can_vary = ("p",)

    def __init__(self, n_features: int = 3, p: float = 0.3, **options: Any) -> None:
        self.p = p
        super().__init__(n_features, **options)

    def on(self, keys: random.Keys) -> Tensor:
        return random.bernoulli(keys, self.knob("p"), self.batch_size, self.n_features)

    def sample(self, keys: random.Keys) -> Tensor:
        return self.activate(self.on(keys), keys)

    def cooccurrence(self) -> Tensor:
        p, n = self.knob("p"), self.n_features
        return (p * p).repeat(1, n, n).diagonal_scatter(p.squeeze(-1).expand(-1, n), dim1=-2, dim2=-1)


def bound(
    data: InputDataModule, seeds: int = 3, vary: dict[str, list[float]] | None = None, **options: Any
) -> InputDataModule:
    """A DataModule that serves an ensemble."""
    data.bind(Ensemble(seeds, vary), **options)
    return data


def drawing(sample: Callable[[Any, random.Keys, Tensor], Any]) -> Any:
    """A class that draws otherwise than `Mine`, whose inputs it is given."""
    return type("Drawn", (Mine,), {"sample": lambda self, keys: sample(self, keys, Mine.sample(self, keys))})


def declaring(change: Callable[[Tensor], Any]) -> Any:
    """A class that declares another co-occurrence than `Mine`, which it is given."""
    return type("Declared", (Mine,), {"cooccurrence": lambda self: change(Mine.cooccurrence(self))})
