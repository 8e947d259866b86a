from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn.functional import pad
from typing_extensions import override

from polysemantic.functional import PricedCollisions, interference_sums, mean_over_collisions, price_collisions
from polysemantic.metrics.base import InstanceMetric, Matrix

_KEPT = ("W_enc", "W_dec", "cooccurrence", "numerator", "denominator")


class PairCostMetric(InstanceMetric):
    """What an instance's collisions cost on all inputs together.

    The cost of a pair is known only once every input is in, so it keeps the sums of every pair of features and the
    weights. Every run has these columns too, at one in twenty measurements, without this metric.
    """

    group = "collisions"

    W_enc: Tensor
    W_dec: Tensor
    cooccurrence: Tensor
    numerator: Tensor
    denominator: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in _KEPT:
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    @override
    def update(
        self,
        x: Float[Tensor, "instance batch feature"],
        x_hat: Float[Tensor, "instance batch feature"],
        cooccurrence: Float[Tensor, "instance feature feature"],
        W_enc: Matrix,
        W_dec: Matrix | None = None,
    ) -> None:
        numerator, denominator = interference_sums(x, x_hat)
        n_inputs = x.shape[1]
        self.add(x.new_zeros(len(x)), weight=n_inputs)
        # Weighted by inputs, as all else, they come out the same however the inputs are divided.
        given = {"W_enc": W_enc, "W_dec": W_enc if W_dec is None else W_dec, "cooccurrence": cooccurrence}
        sums = {name: matrix.double() * n_inputs for name, matrix in given.items()}
        for name, total in (sums | {"numerator": numerator, "denominator": denominator}).items():
            setattr(self, name, getattr(self, name) + pad(total, (0, 0, 0, 0, *self.others)))

    @override
    def compute(self) -> Float64[Tensor, " instance"]:
        if self.weight.ndim == 0:
            return super().compute()
        inputs = self.weight[:, None, None]
        W_enc, W_dec, cooccurrence = (getattr(self, name) / inputs for name in _KEPT[:3])
        priced = price_collisions(W_enc, W_dec, self.numerator, self.denominator)
        return self.value(priced, W_enc, W_dec, cooccurrence).double()

    @abstractmethod
    def value(self, priced: PricedCollisions, W_enc: Tensor, W_dec: Tensor, cooccurrence: Tensor) -> Tensor:
        """What there is to say of the collisions of each instance."""


class CollisionCost(PairCostMetric):
    """Mean interference cost of collisions; 0 nothing is lost, 1 as much as if the network gave nothing back.

    See `functional.interference_cost`.

    Example:
        >>> metric = CollisionCost()
        >>> W, x = torch.tensor([[[1.0], [1.0], [0.0], [0.0]]]), torch.eye(4)[None]
        >>> metric.update(x, x @ W @ W.mT, x / 4, W)
        >>> metric.compute()
        tensor([1.], dtype=torch.float64)
    """

    @override
    def value(self, priced: PricedCollisions, W_enc: Tensor, W_dec: Tensor, cooccurrence: Tensor) -> Tensor:
        return mean_over_collisions(priced.cost, priced.collisions)


class CollisionExcessCost(PairCostMetric):
    """Mean interference cost of collisions beyond that of pairs that share no neuron; 0 they are free, the benign.

    See `functional.excess_cost`.

    Example:
        >>> metric = CollisionExcessCost()
        >>> W, x = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]]), torch.eye(3)[None]
        >>> metric.update(x, (x @ W @ W.mT).relu(), x / 3, W)
        >>> metric.compute()
        tensor([0.], dtype=torch.float64)
    """

    @override
    def value(self, priced: PricedCollisions, W_enc: Tensor, W_dec: Tensor, cooccurrence: Tensor) -> Tensor:
        return mean_over_collisions(priced.excess, priced.collisions)
