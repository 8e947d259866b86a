from __future__ import annotations

from jaxtyping import Float32, Float64
from torch import Tensor
from typing_extensions import override

from polysemantic import random
from polysemantic.data.base import InputDataModule, Magnitude
from polysemantic.data.feature_groups import group_matrix
from polysemantic.data.subset import uniform_subset
from polysemantic.validation.arguments import checked_arguments


class KHot(InputDataModule):
    r"""Exactly k of the n features on, every such subset equally likely.

    .. math:: P(i) = \frac{k}{n}, \qquad P(i, j) = \frac{k (k - 1)}{n (n - 1)}

    A feature that is on has k - 1 companions. k = 1: one-hot inputs, no two features ever meet (arXiv:2312.03096,
    sec. 2). k = n: all features always on. Between, features repel one another a little, as k is fixed:
    :math:`\phi = -1 / (n - 1)`.

    Args:
        n_features: Input coordinates.
        k: Features on in each input.
        batch_size: Inputs of one step.
        magnitude: Value of an active feature: `one`, or `uniform` in (0, 1].

    Raises:
        ValueError: If `k` lies outside 1 .. n_features.

    Example:
        >>> KHot(n_features=4, k=3, batch_size=2).inputs(step=0).sum(-1)
        tensor([[3., 3.]])
    """

    @checked_arguments()
    def __init__(self, n_features: int, k: int, batch_size: int = 256, magnitude: Magnitude = "one") -> None:
        self.k = k
        super().__init__(n_features, batch_size, magnitude)
        if not 1 <= k <= n_features:
            raise ValueError(f"`k` must lie in 1 .. `n_features`, {n_features}, got {k}.")

    @override
    def sample(self, keys: random.Keys) -> Float32[Tensor, "*step instance batch feature"]:
        counts = [self.k] * self.n_instances
        return self.activate(uniform_subset(keys, self.n_features, counts, self.batch_size), keys)

    @override
    def cooccurrence(self) -> Float64[Tensor, "instance feature feature"]:
        n, k = self.n_features, self.knob("k")
        # A single feature has no pairs; the 1 only keeps its division defined.
        pair = k / n * (k - 1) / max(n - 1, 1)
        return group_matrix(n, n, diagonal=k / n, within=pair, across=pair)
