"""A checker for metrics, those of this package and a user's own."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from polysemantic.metrics.base import InstanceMetric

_OF_INPUTS = ("x", "h", "x_hat")
_AT_START = ("led_at_start", "signs_at_start", "w_start")
_OF_INSTANCES = (*_OF_INPUTS, "loss", "W_enc", "W_dec", "b_dec", *_AT_START, "cooccurrence", "l1", "signed_slots")
_SUPPLIED = (*_OF_INSTANCES, "partition")

Update = Mapping[str, Tensor | None]


def check_metric(make: Callable[[], InstanceMetric], updates: Sequence[Update]) -> None:
    """Check that a metric keeps the contract of `InstanceMetric`.

    Its `update` takes what measuring supplies and leaves it as it is; its value is one float64 in `range` for each
    instance, whatever the other instances, and the same for any order and split of the inputs, and when halves of
    them or of the instances are merged; it resets, clones, pickles, saves, plots, joins a `MetricCollection` and warns
    when empty.

    Args:
        make: Makes the metric.
        updates: Arguments of some updates by name, with at least two instances; names that it does not take are left
            out, so that one list serves many metrics.

    Raises:
        AssertionError: If a check fails; the message is the sentence that does not hold.
        ValueError: If `updates` has fewer than two instances.

    Example:
        >>> from polysemantic.metrics import HiddenExcessKurtosis
        >>> check_metric(HiddenExcessKurtosis, [{"h": torch.ones(2, 3, 4)}, {"h": torch.eye(4).repeat(2, 1, 1)}])
    """
    _check_signature(make())
    updates = [make()._filter_kwargs(**update) for update in updates]
    n_instances = _count_instances(updates)
    _check_arguments_kept(make(), updates)
    expected = _updated(make(), updates).compute()
    _check_value(make, updates, expected, n_instances)
    _check_empty(make())
    _check_order_and_split(make, updates, expected)
    _check_merging(make, updates, expected)
    _check_copies(make, updates, expected)
    _check_collection(make, updates, expected)
    _check_plot(_updated(make(), updates))


def _require(condition: bool | Tensor, sentence: str) -> None:
    if not condition:
        raise AssertionError(sentence)


def _require_same(value: Tensor, expected: Tensor, sentence: str) -> None:
    same = value.shape == expected.shape and torch.allclose(value, expected, rtol=1e-6, atol=1e-9, equal_nan=True)
    _require(same, f"{sentence} Expected {expected.tolist()}, got {value.tolist()}.")


def _updated(metric: InstanceMetric, updates: Sequence[Update]) -> InstanceMetric:
    for update in updates:
        metric.update(**update)
    return metric


def _count_instances(updates: Sequence[Update]) -> int:
    sizes = {len(t) for update in updates for name, t in update.items() if name in _OF_INSTANCES and t is not None}
    if len(sizes) != 1 or min(sizes) < 2:
        raise ValueError(f"`updates` must hold one number of instances of at least 2, got {sorted(sizes)}.")
    return sizes.pop()


def _some_instances(updates: Sequence[Update], instances: slice) -> list[Update]:
    return [
        {name: value[instances] if name in _OF_INSTANCES and value is not None else value for name, value in u.items()}
        for u in updates
    ]


def _split(update: Update) -> list[Update]:
    """The inputs of one update as two of unequal size, if it has several."""
    batches = [value.shape[1] for name, value in update.items() if name in _OF_INPUTS and value is not None]
    if not batches or batches[0] < 2:
        return [update]
    parts = (slice(batches[0] // 3 + 1), slice(batches[0] // 3 + 1, None))
    return [
        {name: value[:, part] if name in _OF_INPUTS and value is not None else value for name, value in update.items()}
        for part in parts
    ]


def _check_signature(metric: InstanceMetric) -> None:
    unknown = set(metric._update_signature.parameters) - set(_SUPPLIED)
    _require(not unknown, f"`update` must take only {', '.join(_SUPPLIED)}, got {', '.join(sorted(unknown))}.")
    _require(bool(metric.__doc__), "A metric must have a docstring that says what its extremes mean.")
    _require(all(metric._reductions.values()), "Every state must have a `dist_reduce_fx`.")
    states = {name: getattr(metric, name) for name in metric._defaults}
    narrow = {name for name, t in states.items() if t.is_floating_point() and t.dtype != torch.float64}
    _require(not narrow, f"States must be float64 or integers, got {', '.join(sorted(narrow))}.")


def _check_value(
    make: Callable[[], InstanceMetric], updates: Sequence[Update], expected: Tensor, n_instances: int
) -> None:
    shape, dtype = tuple(expected.shape), expected.dtype
    _require(shape == (n_instances,), f"`compute` must give the shape {(n_instances,)}, got {shape}.")
    _require(dtype == torch.float64, f"`compute` must give float64, got {dtype}.")
    alone = _updated(make(), _some_instances(updates, slice(1))).compute()
    _require_same(alone, expected[:1], "`compute` must give an instance the same value on its own.")
    least, most = make().range
    inside = expected.isnan() | ((expected >= least - 1e-9) & (expected <= most + 1e-9))
    _require(inside.all(), f"Values must lie in `range`, [{least}, {most}], got {expected.tolist()}.")
    if make().count_valued:
        counts = _updated(make(), updates[:1]).compute()
        whole = counts.isnan() | (counts == counts.round())
        _require(whole.all(), f"Values must be whole where `count_valued`, got {counts.tolist()}.")


def _check_arguments_kept(metric: InstanceMetric, updates: Sequence[Update]) -> None:
    for update in updates:
        before = {name: value.clone() for name, value in update.items() if value is not None}
        metric.update(**update)
        changed = {name for name, value in before.items() if not torch.equal(value, torch.as_tensor(update[name]))}
        _require(not changed, f"`update` must leave its arguments as they are, changed {', '.join(sorted(changed))}.")


def _check_empty(metric: InstanceMetric) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metric.compute()
    _require(any("update" in str(w.message) for w in caught), "`compute` must warn when there was no `update`.")


def _check_order_and_split(make: Callable[[], InstanceMetric], updates: Sequence[Update], expected: Tensor) -> None:
    backwards = _updated(make(), updates[::-1]).compute()
    _require_same(backwards, expected, "The value must not depend on the order of updates.")
    parts = list(chain.from_iterable(map(_split, updates)))
    if len(parts) > len(updates):
        _require_same(_updated(make(), parts).compute(), expected, "The value must not depend on the size of batches.")


def _check_merging(make: Callable[[], InstanceMetric], updates: Sequence[Update], expected: Tensor) -> None:
    half = (len(updates) + 1) // 2
    first = _updated(make(), updates[:half])
    first.merge_state(_updated(make(), updates[half:]))
    _require_same(first.compute(), expected, "Merged halves of the updates must equal the whole.")
    one, rest = make(), make()
    one.others, rest.others = (0, len(expected) - 1), (1, 0)
    _updated(one, _some_instances(updates, slice(1)))
    one.merge_state(_updated(rest, _some_instances(updates, slice(1, None))))
    _require_same(one.compute(), expected, "Merged parts of the instances must equal the whole.")


def _check_copies(make: Callable[[], InstanceMetric], updates: Sequence[Update], expected: Tensor) -> None:
    metric = _updated(make(), updates)
    metric.persistent(True)
    loaded = make()
    loaded.load_state_dict(metric.state_dict())
    pickled = pickle.loads(pickle.dumps(metric))
    for how, copy in {"cloned": metric.clone(), "pickled": pickled, "saved and loaded": loaded}.items():
        _require_same(copy.compute(), expected, f"A metric that was {how} must have the same value.")
        copy.reset()
        _require_same(_updated(copy, updates).compute(), expected, f"A metric that was {how} must reset.")
    _require_same(metric.compute(), expected, "A metric must not change with its copies.")


def _check_collection(make: Callable[[], InstanceMetric], updates: Sequence[Update], expected: Tensor) -> None:
    column = make().column()
    collection = MetricCollection({column: make()})
    for update in updates:
        collection.update(**update)
    _require_same(collection.compute()[column], expected, "A `MetricCollection` must not change the value.")


def _check_plot(metric: InstanceMetric) -> None:
    from matplotlib import pyplot as plt

    history: Any = [metric.compute()] * 2
    for shown in (None, history):
        figure, _ = metric.plot(shown)
        _require(figure is not None, "`plot` must make a figure.")
        plt.close(figure)
