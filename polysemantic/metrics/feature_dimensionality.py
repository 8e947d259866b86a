import torch
from typing_extensions import override

from polysemantic.functional import feature_dimensionality, represented_features
from polysemantic.metrics.base import Matrix
from polysemantic.metrics.threshold_metric import ThresholdMetric


class FeatureDimensionality(ThresholdMetric):
    """Dimensions of a represented feature to itself; 1/2 antipodal pairs, 1 all orthogonal, nan if none is represented.

    Over all features the mean says little: with more of them than neurons it is m/n at nearly every sparsity. See
    `functional.feature_dimensionality`.

    Example:
        >>> metric = FeatureDimensionality()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]]))
        >>> metric.compute()
        tensor([0.6667], dtype=torch.float64)
    """

    group = "geometry"
    label = "feature dimensionality"
    range = (0, 1)

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        is_represented = represented_features(W_enc, W_dec, self.threshold)
        self.add(feature_dimensionality(W_enc).where(is_represented, torch.nan).nanmean(-1))
