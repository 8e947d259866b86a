from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from polysemantic.validation.arguments import checked_arguments
from polysemantic.validation.checks import check_at_least_one, check_varied


class Ensemble:
    """A grid of hyperparameters times a number of seeds: every instance of a run.

    Instances are ordered by grid point first, then by seed; the last name of `vary` changes fastest.

    Args:
        seeds: Instances for each grid point. The same seed of two grid points shares its random draws.
        vary: For each name the values to combine, for example `{"l1": [0, 1e-3], "probability": [0.01, 0.1]}`.
            A name is a hyperparameter of the model or of the DataModule that broadcasts over instances.

    Raises:
        ValueError: If `seeds` is no whole number of at least 1, or what a name varies over is no list of numbers, is
            empty, repeats itself or is not finite.

    Example:
        >>> ensemble = Ensemble(seeds=2, vary={"l1": [0, 1e-3]})
        >>> ensemble.n_instances, ensemble.points
        (4, [{'l1': 0.0}, {'l1': 0.001}])
        >>> ensemble.values("l1")
        tensor([0.0000, 0.0000, 0.0010, 0.0010], dtype=torch.float64)
    """

    @checked_arguments(prefix="ensemble.")
    def __init__(self, seeds: int = 16, vary: dict[str, list[float]] | None = None) -> None:
        check_at_least_one(**{"ensemble.seeds": seeds})
        self.seeds = seeds
        self.vary = {name: _checked(name, values) for name, values in (vary or {}).items()}

    @property
    def points(self) -> list[dict[str, float]]:
        """The grid points, each a value for every varied name."""
        return [dict(zip(self.vary, point, strict=True)) for point in itertools.product(*self.vary.values())]

    @property
    def n_instances(self) -> int:
        """Grid points times seeds."""
        return len(self.points) * self.seeds

    @property
    def seed_index(self) -> Int64[Tensor, " instance"]:
        """The seed of each instance, counted from 0 within its grid point."""
        return torch.arange(self.seeds).repeat(len(self.points))

    def values(self, name: str) -> Float64[Tensor, " instance"]:
        """The value of a varied name for each instance."""
        at_points = torch.tensor([point[name] for point in self.points], dtype=torch.float64)
        return at_points.repeat_interleave(self.seeds)

    def as_dict(self) -> dict[str, int | dict[str, list[float]]]:
        """The arguments that make this ensemble."""
        return {"seeds": self.seeds, "vary": {name: list(values) for name, values in self.vary.items()}}

    def check_names(self, *declared: Sequence[str]) -> None:
        """Refuse a varied name that neither the model nor the DataModule declares.

        Raises:
            ValueError: If a name is in none of `declared`; the message lists the names that can vary.
        """
        check_varied(self.vary, itertools.chain(*declared))


def _checked(name: str, values: list[float]) -> list[float]:
    if not values:
        raise ValueError(f"`ensemble.vary.{name}` must hold at least one value, got [].")
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"`ensemble.vary.{name}` must hold finite numbers, got {values}.")
    if len(set(values)) < len(values):
        raise ValueError(f"`ensemble.vary.{name}` must hold distinct values, got {values}.")
    return values


def number_text(value: float) -> str:
    """A number in six digits, or in as many as tell it from every other.

    Example:
        >>> number_text(0.001), number_text(0.1234567)
        ('0.001', '0.1234567')
    """
    short = f"{value:g}"
    return short if float(short) == value else str(value)


def short_text(value: float, grid: Iterable[float]) -> str:
    """A number for people: in six digits if these are all it has, else in as few from three on as no other's of a grid.

    Example:
        >>> [short_text(value, [0.001, 10**-2.5, 0.123456789]) for value in (0.001, 10**-2.5, 0.123456789)]
        ['0.001', '0.00316', '0.123']
    """
    if float(f"{value:g}") == value:
        return f"{value:g}"
    others = [other for other in grid if other != value]
    texts = ([f"{number:.{digits}g}" for number in (value, *others)] for digits in range(3, 17))
    return next((text for text, *of_others in texts if text not in of_others), str(value))


def point_label(point: Mapping[str, float]) -> str:
    """A grid point in words, for tags and tables: `l1=0.001 probability=0.1`; `all` if nothing varies."""
    return " ".join(f"{name}={number_text(value)}" for name, value in point.items()) or "all"
