from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn.functional import pad
from typing_extensions import override

from polysemantic.functional import (
    SameSignCounts,
    classify_same_sign,
    effective_weight,
    excess_cost,
    find_collisions,
    interference_cost,
    interference_sums,
    same_sign_counts,
    shares_neuron,
)
from polysemantic.metrics.base import InstanceMetric, Matrix

_KEPT = ("W_enc", "W_dec", "cooccurrence", "numerator", "denominator")


class SameSignMetric(InstanceMetric):
    """A kind of same-sign collision, told apart by what it costs on all inputs together.

    The cost of a pair is known only once every input is in, so it keeps the sums of every pair of features and the
    weights. Every run has these counts too, at one in twenty measurements, without this metric.
    """

    group = "collisions"
    count_valued = True

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
        collisions = find_collisions(W_enc, W_dec)
        cost = interference_cost(self.numerator, self.denominator)
        excess = excess_cost(cost, shares_neuron(effective_weight(W_enc, W_dec)))
        kinds = classify_same_sign(collisions, W_enc, W_dec, excess, cooccurrence)
        return self.count(same_sign_counts(collisions, kinds, len(W_enc))).double()

    @abstractmethod
    def count(self, counts: SameSignCounts) -> Tensor:
        """The kind that is counted."""


class CollisionsCompensated(SameSignMetric):
    """Same-sign collisions whose leak other neurons cancel; 0 none, all of `CollisionsSameSign` at most.

    See `functional.classify_same_sign`.

    Example:
        >>> W = torch.tensor([[[1.0, 0.8], [1.0, -0.8]]])
        >>> metric = CollisionsCompensated()
        >>> metric.update(torch.eye(2)[None], torch.eye(2)[None], torch.eye(2)[None] / 2, W)
        >>> metric.compute()
        tensor([0.], dtype=torch.float64)
    """

    @override
    def count(self, counts: SameSignCounts) -> Tensor:
        return counts.compensated


class CollisionsDisambiguated(SameSignMetric):
    """Same-sign collisions that leak and cost nothing all the same; 0 unless something tells the features apart.

    See `functional.classify_same_sign`.

    Example:
        >>> metric = CollisionsDisambiguated()
        >>> W, x = torch.tensor([[[1.0], [1.0], [0.0], [0.0]]]), torch.eye(4)[None]
        >>> metric.update(x, x, x / 4, W)
        >>> metric.compute()
        tensor([1.], dtype=torch.float64)
    """

    @override
    def count(self, counts: SameSignCounts) -> Tensor:
        return counts.disambiguated


class CollisionsCostly(SameSignMetric):
    """Same-sign collisions that the network pays for; 0 none, all of `CollisionsSameSign` at most.

    See `functional.classify_same_sign`.

    Example:
        >>> metric = CollisionsCostly()
        >>> W, x = torch.tensor([[[1.0], [1.0], [0.0], [0.0]]]), torch.eye(4)[None]
        >>> metric.update(x, x @ W @ W.mT, x / 4, W)
        >>> metric.compute()
        tensor([1.], dtype=torch.float64)
    """

    @override
    def count(self, counts: SameSignCounts) -> Tensor:
        return counts.costly
