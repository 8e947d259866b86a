from typing_extensions import override

from polysemantic.functional import effective_weight, winner_kept_sign, winner_was_largest
from polysemantic.metrics.base import Matrix
from polysemantic.metrics.threshold import ThresholdMetric


class WinnerWasLargest(ThresholdMetric):
    """Share of winning neurons that led at initialisation; 1 it decides, about 1 / n_hidden it says nothing.

    See `functional.winner_was_largest`.

    Example:
        >>> metric = WinnerWasLargest()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]), w_start=torch.tensor([[[0.2, 0.1], [0.1, 0.2]]]))
        >>> metric.compute()
        tensor([0.5000], dtype=torch.float64)
    """

    group = "features"

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None, *, w_start: Matrix) -> None:
        self.add(winner_was_largest(w_start, effective_weight(W_enc, W_dec), self.threshold))


class WinnerKeptSign(ThresholdMetric):
    """Share of winning weights with the sign they began with; 1 none crossed zero, about 1/2 it says nothing.

    See `functional.winner_kept_sign`.

    Example:
        >>> metric = WinnerKeptSign()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]), w_start=torch.tensor([[[0.2, 0.1], [0.1, 0.2]]]))
        >>> metric.compute()
        tensor([0.5000], dtype=torch.float64)
    """

    group = "features"

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None, *, w_start: Matrix) -> None:
        self.add(winner_kept_sign(w_start, effective_weight(W_enc, W_dec), self.threshold))
