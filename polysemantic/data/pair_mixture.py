from __future__ import annotations

import torch
from jaxtyping import Float32, Float64
from torch import Tensor
from typing_extensions import override

from polysemantic import random
from polysemantic.data.base import InputDataModule, Magnitude
from polysemantic.data.feature_groups import group_matrix
from polysemantic.validation.arguments import checked_arguments


class PairMixture(InputDataModule):
    r"""One feature on, and with probability q a second one, distinct: the smallest step away from one-hot inputs.

    .. math:: P(i) = \frac{1 + q}{n}, \qquad P(i, j) = \frac{2 q}{n (n - 1)}

    A feature that is on has 2 q / (1 + q) expected companions, whatever n. q = 0: one-hot inputs, no two features ever
    meet (arXiv:2312.03096, sec. 2). q = 1: always a pair, so that it has exactly one.

    Args:
        n_features: Input coordinates, at least 2.
        pair_probability: q. Can vary.
        batch_size: Inputs of one step.
        magnitude: Value of an active feature: `one`, or `uniform` in (0, 1].

    Raises:
        ValueError: If `pair_probability` lies outside [0, 1].

    Example:
        >>> PairMixture(n_features=3, pair_probability=0.5).cooccurrence()
        tensor([[[0.5000, 0.1667, 0.1667],
                 [0.1667, 0.5000, 0.1667],
                 [0.1667, 0.1667, 0.5000]]], dtype=torch.float64)
    """

    can_vary = ("pair_probability",)
    min_features = 2

    @checked_arguments()
    def __init__(
        self, n_features: int, pair_probability: float, batch_size: int = 256, magnitude: Magnitude = "one"
    ) -> None:
        if not 0 <= pair_probability <= 1:
            raise ValueError(f"`pair_probability` must lie in [0, 1], got {pair_probability}.")
        self.pair_probability = pair_probability
        super().__init__(n_features, batch_size, magnitude)

    @override
    def sample(self, keys: random.Keys) -> Float32[Tensor, "*step instance batch feature"]:
        n = self.n_features
        first = random.integers(keys, n, self.batch_size, 1)
        apart = random.integers(keys.fold(1), n - 1, self.batch_size, 1).add_(1)
        paired = random.bernoulli(keys.fold(2), self.knob("pair_probability"), self.batch_size, 1)
        second = (first + apart * paired) % n
        on = torch.zeros(*first.shape[:-1], n, dtype=torch.bool, device=first.device)
        return self.activate(on.scatter_(-1, first, True).scatter_(-1, second, True), keys)

    @override
    def cooccurrence(self) -> Float64[Tensor, "instance feature feature"]:
        n, q = self.n_features, self.knob("pair_probability")
        pair = 2 * q / (n * (n - 1))
        return group_matrix(n, n, diagonal=(1 + q) / n, within=pair, across=pair)
