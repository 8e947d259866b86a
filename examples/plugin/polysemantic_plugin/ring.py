import torch
from torch import Tensor

from polysemantic import random
from polysemantic.data import InputDataModule


class Ring(InputDataModule):
    """Features on a ring. Each edge is active with a probability, and then both of its features are on.

    Args:
        n_features: Features on the ring, at least 4.
        probability: Probability that an edge is active. Can vary.
        **options: `batch_size` and `magnitude`.
    """

    can_vary = ("probability",)
    min_features = 4

    def __init__(self, n_features: int, probability: float = 0.01, **options: object) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"`probability` must lie in [0, 1], got {probability}.")
        self.probability = probability
        super().__init__(n_features, **options)

    def sample(self, keys: random.Keys) -> Tensor:
        edge = random.bernoulli(keys, self.knob("probability"), self.batch_size, self.n_features)
        return self.activate(edge | edge.roll(1, dims=-1), keys)

    def cooccurrence(self) -> Tensor:
        p = self.knob("probability")
        on = 1 - (1 - p) ** 2
        near = torch.eye(self.n_features, dtype=p.dtype, device=p.device).roll(1, dims=0)
        near = near + near.mT
        # Neighbours share an edge. If it is not active, both are on only if the other edge of each is active.
        joint = on**2 * (1 - near) + (p + (1 - p) * p**2) * near
        return joint.diagonal_scatter(on.squeeze(-1).expand(-1, self.n_features), dim1=-2, dim2=-1)
