from math import inf

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from polysemantic.functional import hidden_kurtosis_sums
from polysemantic.metrics.base import InstanceMetric


class HiddenExcessKurtosis(InstanceMetric):
    """Excess kurtosis across neurons, mean over inputs; -6 / (n_hidden + 2) no special basis, n_hidden - 3 one-hot.

    See `functional.hidden_excess_kurtosis`.

    Example:
        >>> metric = HiddenExcessKurtosis()
        >>> metric.update(torch.eye(8).unsqueeze(0))
        >>> metric.compute()
        tensor([5.], dtype=torch.float64)
    """

    group = "basis"
    label = "excess kurtosis of hidden activations"
    range = (-2, inf)

    @override
    def update(self, h: Float[Tensor, "instance batch hidden"]) -> None:
        total, count = hidden_kurtosis_sums(h)
        self.add(total / count, weight=count)
