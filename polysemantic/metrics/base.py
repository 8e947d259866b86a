from __future__ import annotations

import re
from collections.abc import Callable
from math import inf
from typing import Any

import torch
from jaxtyping import Float, Float64, Real
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

Matrix = Float[Tensor, "instance feature hidden"]
"""An encoder or decoder, or effective weights, one row per feature."""


class InstanceMetric(Metric):
    """The mean over updates of a quantity that each instance has.

    A subclass implements `update` with as many of these arguments as it needs, under these names, and hands a value for
    each instance to `add`:

    - `W_enc`, `W_dec` (None if tied) and `b_dec` (None without): the weights;
    - `led_at_start`, `signs_at_start`: of the effective weights at initialisation, the neuron of each feature's
      largest (`functional.strongest`) and all signs (`functional.pack_signs`);
    - `w_start`: these weights themselves, kept for the metrics that ask for them, at the price of that memory;
    - `l1`: the weight of the L1 penalty;
    - `cooccurrence`: P(i and j on), the diagonal P(i on);
    - `partition`: +1 or -1 for each feature, None where the inputs have no two parts;
    - `x`, `h`, `x_hat`: inputs, hidden activations and reconstructions of a batch, and `loss`, their mean loss.

    It is updated once, or once for each batch of evaluation draws if it takes one of the last four. It must leave these
    as they are. Its values are finite, or nan where it does not apply, in `range`, and whole if it is `count_valued`:
    the first measurement of a run holds a user's metric to this (`agreement`).

    The class name in snake case is the name of its column in the results. The class attributes below describe this
    column: tables, intervals, charts and TensorBoard read them. `testing.check_metric` checks a new metric.

    Example:
        >>> class ShareOfLargeWeights(InstanceMetric):
        ...     label, unit, range = "large weights", "share of weights", (0, 1)
        ...     def update(self, W_enc):
        ...         self.add((W_enc.abs() > 0.5).double().mean((1, 2)))
        >>> ShareOfLargeWeights.column()
        'share_of_large_weights'
    """

    full_state_update = False
    is_differentiable = False
    group: str = "measurements"
    """First part of its tag in TensorBoard."""
    label: str = ""
    """What axes call it; empty for the name of its column in words."""
    unit: str = ""
    """What its values are in, or how to read them; axes show it in brackets behind the label."""
    short_label: str = ""
    """What the tables of a terminal call it; empty for `label`."""
    range: tuple[float, float] = (-inf, inf)
    """The least and the greatest value that it can have: intervals end there."""
    count_valued: bool = False
    """Whether values are whole numbers, and so the column's."""
    others: tuple[int, int] = (0, 0)
    """How many instances other processes hold before and after those of this one, which sees nothing of them."""

    total: Tensor
    weight: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Scalars take on the number of instances with the first update.
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("weight", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        # A MetricCollection takes metrics with equal states for one and updates only the first, from then on. Two
        # measurements may well agree once, as on an untrained network; a nan equals nothing.
        self.add_state("distinct", torch.full((), torch.nan, dtype=torch.float64), dist_reduce_fx="sum")

    @classmethod
    def column(cls) -> str:
        """The name of its column in the results."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def add(self, values: Real[Tensor, " instance"], weight: int | Real[Tensor, " instance"] = 1) -> None:
        """Count a value for each instance.

        Args:
            values: What the instances have.
            weight: What it counts for in the mean, such as the number of inputs in a batch, for all instances or each;
                a value of weight 0 is not counted, even if it is nan.
        """
        values = values.double()
        before, after = self.others
        if self.total.ndim == 0:
            shape = (before + len(values) + after, *values.shape[1:])
            self.total, self.weight = values.new_zeros(shape), values.new_zeros(shape)
        # In place: to set a state anew takes longer than to add a few numbers.
        total, weights = (state.narrow(0, before, len(values)) for state in (self.total, self.weight))
        if isinstance(weight, int) and weight > 0:
            total.add_(values, alpha=weight)
            weights.add_(weight)
        else:
            weight = torch.as_tensor(weight, device=values.device).double()
            total.add_(torch.where(weight > 0, values * weight, 0))
            weights.add_(weight)

    @override
    def compute(self) -> Float64[Tensor, " instance"]:
        return (self.total / self.weight).reshape(-1)  # still scalars if there was no update

    @property
    @override
    def update_called(self) -> bool:
        # Torchmetrics forgets that a state was loaded, and would warn that it is empty.
        return super().update_called or self.weight.ndim > 0

    @override
    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """The value of each instance as points."""
        return self._plot(val, ax)

    def _wrap_compute(self, compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
        squeezing = super()._wrap_compute(compute)

        def values() -> Any:
            # Torchmetrics returns a scalar for one instance. What is no tensor is refused by name (`agreement`).
            found = squeezing()
            return found.reshape(-1) if isinstance(found, Tensor) else found

        return values
