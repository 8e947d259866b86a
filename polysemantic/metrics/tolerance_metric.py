from typing import Any

from polysemantic.metrics.base import InstanceMetric


class ToleranceMetric(InstanceMetric):
    """A measurement that leaves out what is small beside the largest.

    Args:
        tolerance: Share of the largest that still counts as nothing.
        kwargs: Options of torchmetrics.

    Raises:
        ValueError: If `tolerance` lies outside [0, 1).
    """

    def __init__(self, tolerance: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= tolerance < 1:
            raise ValueError(f"`tolerance` must lie in [0, 1), got {tolerance}.")
        self.tolerance = tolerance
