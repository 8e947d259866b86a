"""A checker for input distributions, those of this package and a user's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float64
from scipy import stats
from torch import Tensor

from polysemantic.data.agreement import check_agreement
from polysemantic.data.base import InputDataModule
from polysemantic.data.possible import ROUNDING
from polysemantic.model.ensemble import Ensemble
from polysemantic.validation.user_classes import UserClassError

_SEEDS = 4
_AT_ONCE = 2**20


def check_data_module(
    make: Callable[[], InputDataModule],
    vary: Mapping[str, Sequence[float]] | None = None,
    n_inputs: int = 2**15,
    level: float = 1e-6,
) -> None:
    """Check that a DataModule keeps the contract of `InputDataModule`.

    What every run checks (`agreement.check_agreement`), at every grid point and on more inputs: its `cooccurrence()` is
    a possible one and that of its inputs, by exact binomial tails, and equal where it is 0 or 1; inputs are finite, not
    negative, independent and follow `magnitude`; a draw has the same bits beside any number of instances, on any slice
    of them and for any number of steps at once; `arguments()` make it again; a varied number reaches its instances.

    Args:
        make: Makes the DataModule.
        vary: For each name of `can_vary` that is to be tried, some values that it accepts.
        n_inputs: Inputs that the frequencies are counted on, at least, for each combination of `vary`.
        level: Probability that a right DataModule fails, for each combination.

    Raises:
        AssertionError: If a check fails; the message is the sentence that does not hold.

    Example:
        >>> from polysemantic.data import PairMixture
        >>> check_data_module(lambda: PairMixture(4, pair_probability=0.5), vary={"pair_probability": [0.0, 1.0]})
    """
    ensemble = Ensemble(_SEEDS, {name: list(values) for name, values in (vary or {}).items()})
    data = make()
    data.bind(ensemble)
    try:
        check_agreement(data)
    except UserClassError as error:
        raise AssertionError(str(error)) from error
    _check_arguments(make())
    _check_magnitude(make(), level)
    _check_vary(data)
    counts, total = _count(data, n_inputs)
    for point, together, p in zip(ensemble.points, counts, data.joint()[::_SEEDS], strict=True):
        _check_frequencies(together, total, p, level, point)


def _require(condition: bool | Tensor, sentence: str) -> None:
    if not condition:
        raise AssertionError(sentence)


def _check_arguments(data: InputDataModule) -> None:
    arguments = data.arguments()
    again = type(data)(**arguments)
    _require(torch.equal(again.inputs(0), data.inputs(0)), "`arguments()` must make a DataModule with the same inputs.")
    if "n_features" not in arguments:
        return
    with contextlib.suppress(ValueError):
        type(data)(**arguments | {"n_features": data.min_features - 1})
        raise AssertionError(f"`n_features` below {data.min_features} must be a ValueError.")


def _check_magnitude(data: InputDataModule, level: float) -> None:
    data.bind(Ensemble(_SEEDS))
    inputs = data.sample(data.keys("data", range(3)))
    on = inputs[inputs > 0].double()
    if "magnitude" not in data.arguments() or len(on) == 0:
        return
    if data.magnitude == "one":
        _require((on == 1).all(), "Active features must be 1 where `magnitude` is one.")
    else:
        tail = float(stats.kstest(on.numpy(), "uniform").pvalue)
        _require((on <= 1).all() & (tail >= level), "Active features must be uniform in (0, 1] where `magnitude` is.")


def _check_vary(data: InputDataModule) -> None:
    """Each instance draws what the DataModule with that instance's own arguments draws."""
    ensemble, inputs, joint = data.ensemble, data.inputs(1), data.cooccurrence()
    for index, point in enumerate(ensemble.points):
        here = slice(index * _SEEDS, (index + 1) * _SEEDS)
        alone = type(data)(**data.arguments() | point)
        alone.bind(Ensemble(_SEEDS))
        _require(torch.equal(alone.inputs(1), inputs[here]), f"The inputs must be those of the instance's own {point}.")
        same = torch.allclose(alone.cooccurrence(), joint[here], rtol=0, atol=ROUNDING)
        _require(same, f"`cooccurrence` must be that of the instance's own {point}.")


def _count(data: InputDataModule, n_inputs: int) -> tuple[Float64[Tensor, "point feature feature"], int]:
    """How often each pair of features is on together, for each grid point, and of how many inputs."""
    points, n = len(data.ensemble.points), data.n_features
    together = torch.zeros(points, n, n, dtype=torch.float64)
    steps = range(-(-n_inputs // (data.batch_size * _SEEDS)))
    at_once = -(-_AT_ONCE // (data.n_instances * data.batch_size * n))
    for start in steps[::at_once]:
        inputs = data.sample(data.keys("data", steps[start : start + at_once]))
        on = (inputs > 0).double().movedim(-3, 0).reshape(points, -1, n)
        together += on.mT @ on
    return together, len(steps) * data.batch_size * _SEEDS


def _check_frequencies(
    together: Float64[Tensor, "feature feature"],
    total: int,
    p: Float64[Tensor, "feature feature"],
    level: float,
    point: Mapping[str, float],
) -> None:
    where = f" at {dict(point)}" if point else ""
    certain = (p == 0) | (p == 1)
    exact = (together == p * total)[certain].all()
    _require(exact, f"Pairs that `cooccurrence` calls impossible or certain must be so{where}.")
    counts, chances = together.numpy(), p.clamp(0, 1).numpy()
    tails = np.minimum(stats.binom.cdf(counts, total, chances), stats.binom.sf(counts - 1, total, chances))
    i, j = np.unravel_index(tails.argmin(), tails.shape)
    # Two tails for each of n (n + 1) / 2 pairs, a feature's own marginal among them.
    _require(
        bool(tails[i, j] * len(p) * (len(p) + 1) >= level),
        f"P({i} and {j} on) must be {chances[i, j]:.4g}, got {counts[i, j]:.0f} of {total} inputs{where}.",
    )
