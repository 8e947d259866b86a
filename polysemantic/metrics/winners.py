from jaxtyping import Int64, UInt8
from torch import Tensor
from typing_extensions import override

from polysemantic.functional import effective_weight, winner_had_sign, winner_led
from polysemantic.metrics.base import Matrix
from polysemantic.metrics.threshold_metric import ThresholdMetric


class WinnerWasLargest(ThresholdMetric):
    """Share of winning neurons that led at initialisation; 1 it decides, about 1 / n_hidden it says nothing.

    See `functional.winner_was_largest`.

    Example:
        >>> from polysemantic.functional import strongest
        >>> start, metric = torch.tensor([[[0.2, 0.1], [0.1, 0.2]]]), WinnerWasLargest()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]), led_at_start=strongest(start).neuron)
        >>> metric.compute()
        tensor([0.5000], dtype=torch.float64)
    """

    group = "features"
    label = "winners that were largest at first"
    unit = "share"
    range = (0, 1)

    @override
    def update(
        self, W_enc: Matrix, W_dec: Matrix | None = None, *, led_at_start: Int64[Tensor, "instance feature"]
    ) -> None:
        self.add(winner_led(led_at_start, effective_weight(W_enc, W_dec), self.threshold))


class WinnerKeptSign(ThresholdMetric):
    """Share of winning weights with the sign they began with; 1 none crossed zero, about 1/2 it says nothing.

    See `functional.winner_kept_sign`.

    Example:
        >>> from polysemantic.functional import pack_signs
        >>> start, metric = torch.tensor([[[0.2, 0.1], [0.1, 0.2]]]), WinnerKeptSign()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]), signs_at_start=pack_signs(start))
        >>> metric.compute()
        tensor([0.5000], dtype=torch.float64)
    """

    group = "features"
    label = "winners that kept their sign"
    unit = "share"
    range = (0, 1)

    @override
    def update(
        self, W_enc: Matrix, W_dec: Matrix | None = None, *, signs_at_start: UInt8[Tensor, "instance feature octet"]
    ) -> None:
        self.add(winner_had_sign(signs_at_start, effective_weight(W_enc, W_dec), self.threshold))
