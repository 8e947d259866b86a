from math import inf

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from polysemantic.functional import reconstruction_error
from polysemantic.metrics.base import InstanceMetric


class Loss(InstanceMetric):
    """Loss without noise, mean over inputs; 0 is a perfect reconstruction at no L1 penalty.

    Example:
        >>> metric = Loss()
        >>> metric.update(x=torch.zeros(1, 3, 2), loss=torch.tensor([0.5]))
        >>> metric.compute()
        tensor([0.5000], dtype=torch.float64)
    """

    group = "evaluation"
    label = "loss"
    range = (0, inf)

    @override
    def update(self, x: Float[Tensor, "instance batch feature"], loss: Float[Tensor, " instance"]) -> None:
        self.add(loss, weight=x.shape[1])


class ReconstructionError(InstanceMetric):
    """Squared error summed over features, mean over inputs; 0 is perfect, see `functional.reconstruction_error`.

    Example:
        >>> metric = ReconstructionError()
        >>> metric.update(x=torch.zeros(1, 3, 2), x_hat=torch.ones(1, 3, 2))
        >>> metric.compute()
        tensor([2.], dtype=torch.float64)
    """

    group = "evaluation"
    label = "reconstruction error"
    unit = "squared, summed over features"
    range = (0, inf)

    @override
    def update(
        self, x: Float[Tensor, "instance batch feature"], x_hat: Float[Tensor, "instance batch feature"]
    ) -> None:
        self.add(reconstruction_error(x_hat, x), weight=x.shape[1])
