import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from polysemantic.functional import rotation_gap_closed_form
from polysemantic.metrics.base import InstanceMetric, Matrix


class RotationGap(InstanceMetric):
    """Loss that a random rotation of the hidden space adds, in closed form; 0 no special basis, nan for untied weights.

    For linear hidden units without noise, where only the L1 penalty sees a rotation. Every run has the gap of any
    network too, sampled where it must be, at one in twenty measurements, without this metric.

    See `functional.rotation_gap_closed_form`.

    Example:
        >>> metric = RotationGap()
        >>> metric.update(h=torch.eye(2)[None], l1=torch.ones(1))
        >>> metric.compute()
        tensor([0.2732], dtype=torch.float64)
    """

    group = "basis"

    @override
    def update(
        self, h: Float[Tensor, "instance batch hidden"], l1: Float[Tensor, " instance"], W_dec: Matrix | None = None
    ) -> None:
        gap = rotation_gap_closed_form(h, l1.double())
        self.add(gap if W_dec is None else torch.full_like(gap, torch.nan), weight=h.shape[1])
