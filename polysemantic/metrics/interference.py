from math import inf

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from polysemantic.functional import mean_interference, weighted_interference
from polysemantic.metrics.base import InstanceMetric, Matrix


class MeanInterference(InstanceMetric):
    """Mean squared interference of all pairs of features; 0 orthogonal, 1 all in one direction, nan without a pair.

    See `functional.mean_interference`.

    Example:
        >>> metric = MeanInterference()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]))
        >>> metric.compute()
        tensor([1.], dtype=torch.float64)
    """

    group = "geometry"
    label = "mean interference"
    range = (0, inf)

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(mean_interference(W_enc, W_dec))


class WeightedInterference(InstanceMetric):
    """Mean squared interference of features that meet; 0 orthogonal, 1 all in one direction, nan if none ever meet.

    See `functional.weighted_interference`.

    Example:
        >>> metric = WeightedInterference()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]), cooccurrence=torch.full((1, 2, 2), 0.1))
        >>> metric.compute()
        tensor([1.], dtype=torch.float64)
    """

    group = "geometry"
    label = "interference weighted by co-occurrence"
    range = (0, inf)

    @override
    def update(
        self, W_enc: Matrix, W_dec: Matrix | None = None, *, cooccurrence: Float[Tensor, "instance feature feature"]
    ) -> None:
        self.add(weighted_interference(W_enc, W_dec, cooccurrence))
