from typing import Any

from typing_extensions import override

from polysemantic.functional import min_angle, share_angles_below_90
from polysemantic.metrics.base import InstanceMetric, Matrix


class MinAngle(InstanceMetric):
    """Smallest angle between two encodings in degrees; 0 one direction, 90 all orthogonal, nan without a pair.

    See `functional.min_angle`.

    Example:
        >>> metric = MinAngle()
        >>> metric.update(torch.eye(3).unsqueeze(0))
        >>> metric.compute()
        tensor([90.], dtype=torch.float64)
    """

    group = "geometry"
    label = "smallest angle between encodings"
    unit = "degrees"
    range = (0, 180)

    @override
    def update(self, W_enc: Matrix) -> None:
        self.add(min_angle(W_enc))


class ShareAnglesBelow90(InstanceMetric):
    """Share of pairs of encodings at an acute angle; 0 none, 1 all in one orthant, nan without a pair.

    See `functional.share_angles_below_90`.

    Args:
        tolerance: Degrees by which an angle must fall short of 90 to count.
        kwargs: Options of torchmetrics.

    Raises:
        ValueError: If `tolerance` lies outside [0, 90).

    Example:
        >>> metric = ShareAnglesBelow90()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.6, 0.8]]]))
        >>> metric.compute()
        tensor([0.3333], dtype=torch.float64)
    """

    group = "geometry"
    label = "share of angles below 90 degrees"
    range = (0, 1)

    def __init__(self, tolerance: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= tolerance < 90:
            raise ValueError(f"`tolerance` must lie in [0, 90), got {tolerance}.")
        self.tolerance = tolerance

    @classmethod
    @override
    def column(cls) -> str:
        return "share_angles_below_90"

    @override
    def update(self, W_enc: Matrix) -> None:
        self.add(share_angles_below_90(W_enc, self.tolerance))
