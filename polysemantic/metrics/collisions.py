from math import inf, nan

from jaxtyping import Bool
from torch import Tensor
from typing_extensions import override

from polysemantic.functional import collision_counts, excess_polysemantic_neurons
from polysemantic.metrics.base import Matrix
from polysemantic.metrics.threshold_metric import ThresholdMetric


class CollisionsOppositeSign(ThresholdMetric):
    """Pairs of features on one neuron with opposite signs, the benign ones; 0 where every neuron is monosemantic.

    See `functional.collision_counts`.

    Example:
        >>> metric = CollisionsOppositeSign()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.9, 1.0]]]))
        >>> metric.compute()
        tensor([2.], dtype=torch.float64)
    """

    group = "collisions"
    label = "opposite-sign collisions"
    short_label = "opposite"
    range = (0, inf)
    count_valued = True

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(collision_counts(W_enc, W_dec, self.threshold).opposite_sign)


class CollisionsSameSign(ThresholdMetric):
    """Pairs of features on one neuron with the same sign, the malign ones; 0 where every neuron is monosemantic.

    See `functional.collision_counts`.

    Example:
        >>> metric = CollisionsSameSign()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.9, 1.0]]]))
        >>> metric.compute()
        tensor([1.], dtype=torch.float64)
    """

    group = "collisions"
    label = "same-sign collisions"
    short_label = "same sign"
    range = (0, inf)
    count_valued = True

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(collision_counts(W_enc, W_dec, self.threshold).same_sign)


class ExcessPolysemanticNeurons(ThresholdMetric):
    """Polysemantic neurons beyond those that n_hidden forces; 0 none is incidental, nan where it does not apply.

    It does not apply where features take no signed slots of neurons, as in a run the rule
    `results.predictions.EXCESS` says, nor where the difference is negative: neurons then carry three features or more,
    or the code is spread out. See `functional.excess_polysemantic_neurons`.

    Example:
        >>> metric = ExcessPolysemanticNeurons()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]))
        >>> metric.compute()
        tensor([1.], dtype=torch.float64)
    """

    group = "collisions"
    label = "polysemantic neurons beyond necessary"
    range = (0, inf)
    at_most = "n_hidden"
    count_valued = True

    @override
    def update(
        self, W_enc: Matrix, W_dec: Matrix | None = None, signed_slots: Bool[Tensor, " instance"] | None = None
    ) -> None:
        excess = excess_polysemantic_neurons(W_enc, W_dec, self.threshold)
        applies = excess >= 0 if signed_slots is None else (excess >= 0) & signed_slots
        self.add(excess.double().where(applies, nan))
