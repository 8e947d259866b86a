from abc import abstractmethod

from torch import Tensor
from typing_extensions import override

from polysemantic.functional import PricedCollisions, SameSignCounts, classify_same_sign, same_sign_counts
from polysemantic.metrics.pair_cost import PairCostMetric


class SameSignMetric(PairCostMetric):
    """A kind of same-sign collision, told apart by what it costs."""

    count_valued = True

    @override
    def value(self, priced: PricedCollisions, W_enc: Tensor, W_dec: Tensor, cooccurrence: Tensor) -> Tensor:
        kinds = classify_same_sign(priced.collisions, W_enc, W_dec, priced.excess, cooccurrence)
        return self.count(same_sign_counts(priced.collisions, kinds, len(W_enc)))

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
