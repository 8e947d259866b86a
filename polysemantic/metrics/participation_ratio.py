from math import inf

from typing_extensions import override

from polysemantic.functional import participation_ratio
from polysemantic.metrics.base import Matrix
from polysemantic.metrics.threshold_metric import ThresholdMetric


class ParticipationRatio(ThresholdMetric):
    """Neurons per represented feature; 1 one each, n_hidden spread evenly, nan where nothing is represented.

    See `functional.participation_ratio`.

    Example:
        >>> metric = ParticipationRatio()
        >>> metric.update(torch.tensor([[[0.5, 0.5, 0.5, -0.5], [0.1, 0.0, 0.0, 0.0]]]))
        >>> metric.compute()
        tensor([4.], dtype=torch.float64)
    """

    group = "basis"
    label = "participation ratio"
    unit = "neurons per feature"
    range = (1, inf)
    at_most = "n_hidden"

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(participation_ratio(W_enc, W_dec, self.threshold))
