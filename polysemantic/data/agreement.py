"""Whether a DataModule draws the inputs that it declares: for those of the user, before every run."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float32, Float64
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from polysemantic.data.base import InputDataModule
from polysemantic.data.chance import binomial_surprise, overlap_surprise, uniform_surprise
from polysemantic.data.possible import ROUNDING, check_possible, event
from polysemantic.data.watched_keys import WatchedKeys
from polysemantic.model.ensemble import Ensemble, point_label
from polysemantic.validation.user_classes import UserClassError, is_users, named_errors

# The probability that a right DataModule is refused is below this, all counts together.
_LEVEL = 1e-9
# Inputs to draw at each grid point, and numbers to draw at most if a step has fewer: some milliseconds.
_INPUTS, _NUMBERS = 2**12, 2**20
# Multiplications to count pairs with, at most: some milliseconds.
_PRODUCTS = 2**31
# Grid points to draw at, the first and the last among them.
_POINTS = 4
_TWINS = "draws twice with the same keys, which gives the same numbers (`keys.fold(1)` gives others)"


def check_users_inputs(data: InputDataModule) -> None:
    """Check a DataModule of the user's; ours are held to the same by their tests.

    Raises:
        UserClassError: See `check_agreement`.
    """
    if is_users(type(data)):
        check_agreement(data)


def check_agreement(data: InputDataModule) -> None:
    """Refuse a DataModule whose inputs are not those that it declares.

    `cooccurrence` must be a matrix that inputs can have, for each grid point. At up to four grid points some thousand
    inputs are drawn: they must have the shape, precision and device that are asked for, be finite and not negative,
    follow `magnitude`, depend on their keys and on the values of their grid point alone, be independent of one another,
    and be on as often as `cooccurrence` says. Keyed draws have no state, so that drawing more of them changes no run.

    Args:
        data: The DataModule, bound to an ensemble.

    Raises:
        UserClassError: If one does not hold. Counts are refused where a bound on their probability, all together, is
            below 1e-9.

    Warns:
        UserWarning: If `sample` draws twice with the same keys and all holds nevertheless, or an argument is not kept.
    """
    data = data.of(slice(None))  # All processes check the same instances, and so end together.
    name, joint = type(data).__name__, _checked_joint(data)
    points = _distinct_points(data)
    for point in points:
        check_possible(joint[point.first], f"{name}.cooccurrence", point.where)
    _check_partition(data)
    tried = _spread(points)
    n = data.n_features
    # Two tails of each pair, two comparisons of each feature, and the law of active values.
    surprise = math.log((n * (n + 1) + 2 * n + 2) * len(tried) / _LEVEL)
    twins = [_check_draws(data, point, joint[point.first], surprise) for point in tried]
    _check_derived(data)
    if unkept := data.unkept_arguments():
        lost = "checkpoints, and `config.yaml` of a fit from Python, do not know them"
        rank_zero_warn(f"`{name}.__init__` keeps no {', '.join(unkept)} under the argument's own name: {lost}.")
    if any(twins):
        rank_zero_warn(f"`{name}.sample` {_TWINS}.")


class _Point(NamedTuple):
    """A grid point: its first instance, what the data varies there, and the same in words."""

    first: int
    values: dict[str, float]
    where: str


def _distinct_points(data: InputDataModule) -> list[_Point]:
    """The grid points at which the data differs."""
    points: dict[str, _Point] = {}
    for at, point in enumerate(data.ensemble.points):
        values = {name: value for name, value in point.items() if name in data.can_vary}
        label = f" at {point_label(values)}" if values else ""
        points.setdefault(label, _Point(at * data.ensemble.seeds, values, label))
    return list(points.values())


def _spread(points: list[_Point]) -> list[_Point]:
    last = len(points) - 1
    return [points[at * last // (_POINTS - 1)] for at in range(_POINTS)] if last >= _POINTS else points


def _checked_joint(data: InputDataModule) -> Float64[Tensor, "instance feature feature"]:
    """The co-occurrence of all instances, once its form is right."""
    with named_errors(type(data), "cooccurrence"):
        return InputDataModule.joint(data)


def _check_partition(data: InputDataModule) -> None:
    with named_errors(type(data), "partition"):
        signs = data.partition
        if signs is not None and (signs.shape != (data.n_features,) or set(signs.tolist()) != {1, -1}):
            rule = f"must hold +1 or -1 for each of {data.n_features} features, and both"
            raise UserClassError(f"`{type(data).__name__}.partition` {rule}, got {signs.tolist()}.")


def _check_derived(data: InputDataModule) -> None:
    """Whether what a class computes in its own way is what follows from its co-occurrence."""
    for method in ("joint", "marginals", "expected_companions", "phi"):
        ours = getattr(InputDataModule, method)
        if getattr(type(data), method) is not ours:
            with named_errors(type(data), method):
                given, expected = getattr(data, method)(), ours(data)
                if given.shape != expected.shape or not torch.allclose(given.to(expected), expected, equal_nan=True):
                    got = "other numbers" if given.shape == expected.shape else f"the shape {tuple(given.shape)}"
                    rule = f"must give what follows from `cooccurrence`, shape {tuple(expected.shape)}"
                    raise UserClassError(f"`{type(data).__name__}.{method}` {rule}, got {got}.")


def _check_draws(data: InputDataModule, point: _Point, joint: Tensor, surprise: float) -> bool:
    """Check the inputs of one grid point, and tell whether they were drawn twice with the same keys."""
    several = data.of(slice(point.first, point.first + min(2, data.ensemble.seeds)))
    steps = _steps(several)
    keys = WatchedKeys.of(several.keys("data", range(steps)))
    with named_errors(type(data), "sample"):
        x = several.sample(keys)
    _check_form(x, (steps, several.n_instances, data.batch_size, data.n_features), several)
    _check_company(several, x)
    try:
        if point.values:
            _check_values(data, point, x, joint)
        _check_magnitude(data, x, joint.diagonal(), surprise)
        if data.every_feature_once:
            _check_identity(data, x)
        elif data.independent_inputs:
            _check_independence(data, x > 0, joint.diagonal(), surprise, point.where)
        if data.independent_inputs:
            _check_frequencies(data, x > 0, joint, surprise, point.where)
    except UserClassError as error:
        if keys.drawn_twice:
            raise UserClassError(f"{str(error).removesuffix('.')}; `sample` {_TWINS}.") from None
        raise
    return keys.drawn_twice


def _steps(data: InputDataModule) -> int:
    """Steps to draw: an even number, or one if it is large."""
    of_step = data.n_instances * data.batch_size
    wanted, affordable = -(-_INPUTS // of_step), _NUMBERS // (of_step * data.n_features)
    return max(1, min(max(wanted, 2), affordable) // 2 * 2)


def _check_form(x: object, shape: tuple[int, ...], data: InputDataModule) -> None:
    must = f"`{type(data).__name__}.sample` must give"
    if not isinstance(x, Tensor) or tuple(x.shape) != shape:
        given = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise UserClassError(f"{must} a tensor of (step, instance, batch, feature) {shape}, got {given}.")
    if x.dtype != torch.float32:
        raise UserClassError(f"{must} float32, got {x.dtype}.")
    if x.device.type != data.device.type:
        raise UserClassError(f"{must} inputs on {data.device}, got some on {x.device}.")
    if not (right := x.isfinite() & (x >= 0)).all():
        raise UserClassError(f"{must} finite inputs of at least 0, got {_first(x, ~right)}.")


def _first(x: Tensor, where: Tensor) -> str:
    *_, feature = at = where.nonzero()[0].tolist()
    return f"{float(x[tuple(at)]):.4g} of feature {feature}"


def _check_company(several: InputDataModule, x: Float32[Tensor, "step instance batch feature"]) -> None:
    """Whether the inputs of an instance and step depend on their keys alone, and not on what is drawn beside them."""
    step, last = x.shape[0] - 1, x.shape[1] - 1
    single = several.block(slice(last, last + 1))
    must = f"`{type(several).__name__}.sample` must give the same inputs"
    with named_errors(type(several), "sample"):
        if torch.equal(_sample(single, step, step + 1), x[step:, last:]):
            return
        if not torch.equal(_sample(several, 0, step + 1), x):
            raise UserClassError(f"{must} for the same keys, got others: all draws must be of `polysemantic.random`.")
        beside = "steps" if not torch.equal(_sample(several, step, step + 1), x[step:]) else "instances"
        raise UserClassError(f"{must} beside any number of {beside}, got others.")


def _sample(data: InputDataModule, start: int, stop: int) -> Tensor:
    return data.sample(data.keys("data", range(start, stop)))


def _check_values(data: InputDataModule, point: _Point, x: Tensor, joint: Tensor) -> None:
    """Whether instances have the inputs of the values of their grid point."""
    alone = data.with_values(point.values)
    alone.divide(data.processes)
    kind, step, last = type(data).__name__, x.shape[0] - 1, x.shape[1] - 1
    alone.bind(Ensemble(data.ensemble.seeds), data.seed, slice(last, last + 1), data.device)
    rule = "must read what varies by `knob`, got"
    if unkept := data.unkept_arguments():
        rule = f"must follow from arguments that `__init__` keeps under their names, {', '.join(unkept)} too, got"
    with named_errors(type(data), "sample"):
        if not torch.equal(_sample(alone, step, step + 1), x[step:, last:]):
            raise UserClassError(f"`{kind}.sample` {rule} inputs of other values{point.where}.")
    if not torch.allclose(_checked_joint(alone)[0], joint, rtol=0, atol=ROUNDING):
        raise UserClassError(f"`{kind}.cooccurrence` {rule} that of other values{point.where}.")


def _check_magnitude(data: InputDataModule, x: Tensor, p: Float64[Tensor, " feature"], surprise: float) -> None:
    """Whether active values follow `magnitude`, where a class takes it."""
    if "magnitude" not in data.arguments():
        return
    must = f"`{type(data).__name__}.sample` must give"
    if data.magnitude == "one":
        if (wrong := (x != 0) & (x != 1)).any():
            raise UserClassError(f"{must} 1 for what is on where `magnitude` is one, got {_first(x, wrong)}.")
    elif data.magnitude == "uniform":
        rule = f"{must} values uniform in (0, 1] for what is on where `magnitude` is uniform"
        if (wrong := x > 1).any():
            raise UserClassError(f"{rule}, got {_first(x, wrong)}.")
        # Of one feature, as those of a row may depend on one another.
        values = x[:, 0, :, int(p.argmax())].double()
        values = values[values > 0]
        if data.independent_inputs and uniform_surprise(values) > surprise:
            least, most = float(values.min()), float(values.max())
            got = f"a mean of {float(values.mean()):.4g}, from {least:.4g} to {most:.4g}, of feature {int(p.argmax())}"
            raise UserClassError(f"{rule}, got {got}.")


def _check_identity(data: InputDataModule, x: Tensor) -> None:
    identity = torch.eye(data.n_features, device=x.device)
    if x.shape[-2:] != identity.shape or not (x == identity).all():
        rule = "must be true only where `sample` gives the identity matrix in each step"
        raise UserClassError(f"`{type(data).__name__}.every_feature_once` {rule}, got other inputs.")


def _check_independence(
    data: InputDataModule,
    on: Bool[Tensor, "step instance batch feature"],
    p: Float64[Tensor, " feature"],
    surprise: float,
    where: str,
) -> None:
    """Whether the inputs of a batch are drawn independently, and those of two steps."""
    if ((on.sum(2) - data.batch_size * p).abs() <= ROUNDING * data.batch_size).all():
        return  # Each batch holds every input as often as it is due: all may well be the same.
    rows, steps = data.batch_size // 2 * 2, len(on) // 2 * 2
    series = {
        "each input of a batch": (on[:, 0, 0:rows:2], on[:, 0, 1:rows:2]),
        "each step": (on[0:steps:2, 0], on[1:steps:2, 0]),
    }
    for which, (one, other) in series.items():
        if one.numel() > 0:
            found, feature = (float(v) for v in overlap_surprise(one, other).max(0))
            if found > surprise:
                of = int(feature)
                met, times = int((one & other)[..., of].sum()), int(one[..., of].sum())
                raise UserClassError(
                    f"`{type(data).__name__}.sample` must draw {which} independently, got feature {of} on in {met} of "
                    f"the {times} where the one before has it on{where}."
                )


def _check_frequencies(
    data: InputDataModule,
    on: Bool[Tensor, "step instance batch feature"],
    joint: Float64[Tensor, "feature feature"],
    surprise: float,
    where: str,
) -> None:
    """Whether features are on, and on together, as often as declared."""
    rows = on.reshape(-1, data.n_features)[: max(256, _PRODUCTS // data.n_features**2)].float()
    found = binomial_surprise(rows.mT @ rows, len(rows), joint)
    if (found > surprise).any():
        # A wrong marginal makes many pairs wrong.
        of_one = found.diagonal()
        i, j = [int(of_one.argmax())] * 2 if of_one.max() > surprise else divmod(int(found.argmax()), len(joint))
        counted = int((rows[:, i] * rows[:, j]).sum())
        declared = f"`cooccurrence` declares, {event(i, j)} = {float(joint[i, j]):.4g}"
        raise UserClassError(
            f"`{type(data).__name__}.sample` must draw what {declared}, got {counted} of {len(rows)} inputs{where}."
        )
