"""Rules that options must keep, each with the same error everywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral
from typing import Any

from polysemantic.validation.suggestions import did_you_mean


def check_at_least_one(**sizes: Any) -> None:
    """Refuse a size that is not a whole number or is below 1; None is accepted."""
    for name, size in sizes.items():
        if size is None:
            continue
        if not isinstance(size, Integral):
            raise ValueError(f"`{name}` must be a whole number, got {size!r}.")
        if size < 1:
            raise ValueError(f"`{name}` must be at least 1, got {size}.")


def check_varied(names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a varied name that neither the model nor the inputs declare; the error lists those that they do."""
    listed = sorted(set(known))
    for name in names:
        if name not in listed:
            meant = did_you_mean(name, listed)
            raise ValueError(f"`ensemble.vary` must name one of {', '.join(listed)}, got {name!r}{meant}")


def check_not_negative(**numbers: float) -> None:
    """Refuse a number that is negative, infinite or nan."""
    for name, number in numbers.items():
        if not 0 <= number < math.inf:
            raise ValueError(f"`{name}` must be at least 0 and finite, got {number}.")


def check_positive(**numbers: float | None) -> None:
    """Refuse a number that is 0, negative, infinite or nan; None is accepted."""
    for name, number in numbers.items():
        if number is not None and not 0 < number < math.inf:
            raise ValueError(f"`{name}` must be positive and finite, got {number}.")


def check_seed(seed: int) -> int:
    """Refuse a root of random draws that is no whole number of 32 bits, and return it."""
    if not 0 <= seed < 2**32:
        raise ValueError(f"`seed_everything` must lie in [0, 2^32), got {seed}.")
    return seed


def check_numbers(l1: float, noise_std: float, init_scale: float, importance: float) -> None:
    """Refuse hyperparameters of the model that are out of their range."""
    check_not_negative(l1=l1, noise_std=noise_std)
    if not 0 < init_scale < math.inf:
        rule = "be positive and finite, as weights of 0 have no gradient and stay where they are"
        raise ValueError(f"`init_scale` must {rule}, got {init_scale}.")
    if not 0 < importance <= 1:
        raise ValueError(f"`importance` must lie in (0, 1], got {importance}.")
