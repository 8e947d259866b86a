"""Whether a metric of the user's measures what it declares, and leaves alone what it is given."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from numbers import Real
from typing import Any

import torch
from jaxtyping import Float64
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from polysemantic.metrics.base import InstanceMetric
from polysemantic.validation.user_classes import UserClassError, is_users, named_errors

# Values in float32 end this far beyond the ends of a range, relative to the ends.
_ROUNDING = 1e-5


def check_metrics(metrics: object) -> None:
    """Refuse what is no list of metrics, and a metric whose class declares its column wrongly.

    Raises:
        ValueError: If it is one of these.
    """
    if not isinstance(metrics, (list, tuple)):
        raise ValueError(f"`metrics` must be a list of metrics, got {type(metrics).__name__}.")
    for metric in metrics:
        if isinstance(metric, InstanceMetric):
            _check_declaration(type(metric))
        else:
            call = f"; did you mean {metric.__name__}()?" if isinstance(metric, type) else "."
            given = f"the class {metric.__name__}" if isinstance(metric, type) else type(metric).__name__
            raise ValueError(f"`metrics` must hold objects of subclasses of InstanceMetric, got {given}{call}")


def _check_declaration(kind: type[InstanceMetric]) -> None:
    for name in ("group", "label", "unit", "short_label"):
        text: object = getattr(kind, name)
        if not isinstance(text, str):
            raise UserClassError(f"`{kind.__name__}.{name}` must be a text, got {text!r}.")
    ends: object = kind.range
    if not (isinstance(ends, (tuple, list)) and len(ends) == 2 and all(isinstance(end, Real) for end in ends)):
        raise UserClassError(f"`{kind.__name__}.range` must be a least and a greatest value, got {ends!r}.")


def update_metric(metric: InstanceMetric, given: Mapping[str, Any], n_instances: int) -> None:
    """Update a metric, which must count a value for each instance, and not write into what it is given: it would train.

    Args:
        metric: The metric.
        given: The arguments that it takes.
        n_instances: Instances of this process, among which those of `given` have their places.

    Raises:
        UserClassError: If it adds another number of values, writes, or fails.
    """
    kind = type(metric)
    before = _versions(given)
    # Not all writes are counted: with the first update of each measurement a user's metric is held to the values too.
    held = is_users(kind) and not metric.update_called
    kept = {name: value.clone() for name, value in given.items() if isinstance(value, Tensor)} if held else {}
    with named_errors(kind, "update") if is_users(kind) else contextlib.nullcontext():
        metric.update(**given)
    changed = [name for name, version in _versions(given).items() if version != before[name]]
    changed += [name for name, value in kept.items() if name not in changed and not _same(value, given[name])]
    if changed:
        rule = "must leave what they are given as it is"
        raise UserClassError(f"`metrics` {rule}, got {', '.join(changed)} changed by {kind.__name__}.")
    if metric.total.ndim and metric.total.shape != (n_instances,):
        shape = tuple(metric.total.shape)
        raise UserClassError(
            f"`metrics` must add one value for each instance, got the shape {shape} of {kind.__name__}."
        )


def _versions(given: Mapping[str, Any]) -> dict[str, int]:
    # Tensors made in inference mode count no writes, but weights are never among them.
    return {name: v._version for name, v in given.items() if isinstance(v, Tensor) and not v.is_inference()}


def _same(one: Tensor, other: Tensor) -> bool:
    # Weights of a network that diverged are nan, which equals nothing.
    return torch.equal(one, other) or torch.equal(one.nan_to_num(), other.nan_to_num())


def value_of(metric: InstanceMetric, n_instances: int) -> Float64[Tensor, " instance"]:
    """The value of a metric for each instance.

    Raises:
        UserClassError: If it gives anything but one real number for each instance, or fails.
    """
    kind = type(metric)
    with named_errors(kind, "compute") if is_users(kind) else contextlib.nullcontext():
        values: object = metric.compute()
    if not isinstance(values, Tensor) or values.shape != (n_instances,) or values.is_complex():
        given = (
            f"{values.dtype} of shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        )
        rule = f"must give one real number for each of {n_instances} instances"
        raise UserClassError(f"`{kind.__name__}.compute` {rule}, got {given}.")
    return values.double()


def check_values(metric: InstanceMetric, values: Float64[Tensor, " instance"], *, trained: bool) -> None:
    """Hold the values of a user's metric against what its class declares: `range` and `count_valued`.

    Args:
        metric: The metric.
        values: Its value for each instance; nan where it does not apply.
        trained: Whether the networks have been trained, so that an error would throw steps away.

    Raises:
        UserClassError: If a value is infinite, outside `range`, or not whole where the class counts.

    Warns:
        UserWarning: In place of an error once they have; values are kept as they are.
    """
    if not is_users(type(metric)):
        return
    name = type(metric).__name__
    for rule, holds in _rules(metric, values).items():
        if (wrong := ~holds & ~values.isnan()).any():
            if trained:
                # The same text each time, so that Python shows it once.
                rank_zero_warn(f"`{name}` must {rule}; some values during training do not, and are kept as they are.")
                return
            instance = int(wrong.nonzero()[0])
            raise UserClassError(f"`{name}` must {rule}, got {float(values[instance]):.6g} for instance {instance}.")


def _rules(metric: InstanceMetric, values: Tensor) -> dict[str, Tensor]:
    least, most = metric.range
    slack = [_ROUNDING * max(1.0, abs(end)) for end in (least, most)]
    rules = {
        "be finite, or nan where it does not apply": ~values.isinf(),
        f"lie in its `range`, [{least:g}, {most:g}]": (values >= least - slack[0]) & (values <= most + slack[1]),
        "be whole, as `count_valued` says": values == values.round(),
    }
    if not metric.count_valued:
        rules.popitem()
    return rules
