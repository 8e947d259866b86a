from typing import Any

from polysemantic.metrics.base import InstanceMetric


class ThresholdMetric(InstanceMetric):
    """A measurement that hangs on which weights count as carried.

    Args:
        threshold: Smallest effective weight that counts as carried, or smallest own gain as represented.
        kwargs: Options of torchmetrics.

    Raises:
        ValueError: If `threshold` is not positive.
    """

    def __init__(self, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not threshold > 0:
            raise ValueError(f"`threshold` must be positive, got {threshold}.")
        self.threshold = threshold
