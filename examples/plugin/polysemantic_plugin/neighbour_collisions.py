from torch import Tensor

from polysemantic.functional import carried, effective_weight
from polysemantic.metrics import InstanceMetric


class NeighbourCollisions(InstanceMetric):
    """Number of collisions between a feature and the next one, over all neurons."""

    group = "collisions"
    count_valued = True

    def update(self, W_enc: Tensor, W_dec: Tensor | None = None) -> None:
        on = carried(effective_weight(W_enc, W_dec))
        self.add((on & on.roll(-1, dims=-2)).sum((-2, -1)))
