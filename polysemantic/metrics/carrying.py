from math import inf
from typing import Any

from typing_extensions import override

from polysemantic.functional import (
    carriers,
    coverage,
    effective_weight,
    polysemantic_neurons,
    polysemantic_neurons_band,
    represented,
)
from polysemantic.metrics.base import InstanceMetric, Matrix
from polysemantic.metrics.threshold_metric import ThresholdMetric


class Coverage(ThresholdMetric):
    """Share of features that some neuron carries; 0 dead or spread out, 1 a neuron for each feature.

    See `functional.coverage`.

    Example:
        >>> metric = Coverage()
        >>> metric.update(torch.tensor([[[1.0, 0.1], [0.3, 0.3]]]))
        >>> metric.compute()
        tensor([0.5000], dtype=torch.float64)
    """

    group = "features"
    label = "coverage"
    unit = "share of features"
    range = (0, 1)

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(coverage(effective_weight(W_enc, W_dec), self.threshold))


class Represented(ThresholdMetric):
    """Share of features that the network gives back; 0 dead, 1 all, on however many neurons.

    See `functional.represented`.

    Example:
        >>> metric = Represented()
        >>> metric.update(torch.tensor([[[0.6, 0.6], [0.6, 0.0]]]))
        >>> metric.compute()
        tensor([0.5000], dtype=torch.float64)
    """

    group = "features"
    label = "represented"
    unit = "share of features"
    range = (0, 1)

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(represented(W_enc, W_dec, self.threshold))


class Carriers(ThresholdMetric):
    """Carrying neurons per covered feature; 1 once settled, above 1.1 transients or shared blocks, nan uncovered.

    See `functional.carriers`.

    Example:
        >>> metric = Carriers()
        >>> metric.update(torch.tensor([[[0.7, 0.7], [1.0, 0.0], [0.1, 0.1]]]))
        >>> metric.compute()
        tensor([1.5000], dtype=torch.float64)
    """

    group = "features"
    label = "carriers"
    unit = "neurons per covered feature"
    range = (1, inf)
    at_most = "n_hidden"

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(carriers(effective_weight(W_enc, W_dec), self.threshold))


class PolysemanticNeurons(ThresholdMetric):
    """Neurons that carry two features or more; 0 none (or a spread-out code, see `Coverage`), n_hidden all.

    See `functional.polysemantic_neurons`.

    Example:
        >>> metric = PolysemanticNeurons()
        >>> metric.update(torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]]))
        >>> metric.compute()
        tensor([1.], dtype=torch.float64)
    """

    group = "collisions"
    label = "polysemantic neurons"
    short_label = "polysemantic"
    range = (0, inf)
    at_most = "n_hidden"
    count_valued = True

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(polysemantic_neurons(effective_weight(W_enc, W_dec), self.threshold))


class PolysemanticNeuronsBand(InstanceMetric):
    """Neurons with two weights or more in the paper's band; 0 none, or weights off the band; n_hidden all.

    See `functional.polysemantic_neurons_band`.

    Args:
        low: Lower end of the band.
        high: Upper end of the band.
        kwargs: Options of torchmetrics.

    Raises:
        ValueError: If the band is empty or reaches down to 0.

    Example:
        >>> metric = PolysemanticNeuronsBand()
        >>> metric.update(torch.tensor([[[1.0, 1.0], [-0.9, 0.7]]]))
        >>> metric.compute()
        tensor([1.], dtype=torch.float64)
    """

    group = "collisions"
    label = "polysemantic neurons in the band 0.8 to 1.2"
    short_label = "in band"
    range = (0, inf)
    at_most = "n_hidden"
    count_valued = True

    def __init__(self, low: float = 0.8, high: float = 1.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < low <= high:
            raise ValueError(f"`low` must lie in (0, high = {high}], got {low}.")
        self.low, self.high = low, high

    @override
    def update(self, W_enc: Matrix, W_dec: Matrix | None = None) -> None:
        self.add(polysemantic_neurons_band(effective_weight(W_enc, W_dec), self.low, self.high))
