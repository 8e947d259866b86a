from typing_extensions import override

from polysemantic.functional import feature_dimensionality
from polysemantic.metrics.base import InstanceMetric, Matrix


class FeatureDimensionality(InstanceMetric):
    """Dimensions that a feature has to itself, mean over features; 0 dead, 1/2 antipodal pairs, 1 all orthogonal.

    See `functional.feature_dimensionality`.

    Example:
        >>> metric = FeatureDimensionality()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]]))
        >>> metric.compute()
        tensor([0.5000], dtype=torch.float64)
    """

    group = "geometry"

    @override
    def update(self, W_enc: Matrix) -> None:
        self.add(feature_dimensionality(W_enc).mean(-1))
