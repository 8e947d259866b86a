from math import inf

from typing_extensions import override

from polysemantic.functional import effective_weight, features_per_neuron
from polysemantic.metrics.base import Matrix
from polysemantic.metrics.tolerance_metric import ToleranceMetric


class FeaturesPerNeuron(ToleranceMetric):
    """Features per neuron that is not dead; 1 monosemantic, about n_features / 3 random directions, nan all dead.

    See `functional.features_per_neuron`.

    Example:
        >>> metric = FeaturesPerNeuron()
        >>> metric.update(torch.tensor([[[1.0, 0.0, 0.0], [-1.0, 1.0, 0.001]]]))
        >>> metric.compute()
        tensor([1.5000], dtype=torch.float64)
    """

    group = "basis"
    label = "features per neuron"
    range = (1, inf)
    at_most = "n_features"

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(features_per_neuron(effective_weight(W_enc, W_dec), self.tolerance))
