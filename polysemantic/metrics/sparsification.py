from math import inf

from typing_extensions import override

from polysemantic.functional import effective_weight, l1_norm, sparsity_count
from polysemantic.metrics.base import InstanceMetric, Matrix
from polysemantic.metrics.tolerance_metric import ToleranceMetric


class L1Norm(InstanceMetric):
    """Mean L1 norm of a feature; for rows of length 1, 1 on one neuron, sqrt(n_hidden) spread evenly.

    See `functional.l1_norm`.

    Example:
        >>> metric = L1Norm()
        >>> metric.update(torch.tensor([[[0.5, -0.5, 0.5, 0.5]]]))
        >>> metric.compute()
        tensor([2.], dtype=torch.float64)
    """

    group = "sparsification"
    label = "L1 norm of a feature"
    range = (0, inf)

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(l1_norm(effective_weight(W_enc, W_dec)))


class SparsityCount(ToleranceMetric):
    """Neurons that still hold a feature; n_hidden at initialisation, 1 each on one, 0 dead.

    See `functional.sparsity_count`.

    Example:
        >>> metric = SparsityCount()
        >>> metric.update(torch.tensor([[[1.0, 0.5, 0.001], [0.0, 1.0, 0.0]]]))
        >>> metric.compute()
        tensor([1.5000], dtype=torch.float64)
    """

    group = "sparsification"
    label = "neurons per feature m'"
    range = (0, inf)
    at_most = "n_hidden"

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(sparsity_count(effective_weight(W_enc, W_dec), self.tolerance))
