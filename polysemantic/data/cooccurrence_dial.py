from __future__ import annotations

import torch
from jaxtyping import Float32, Float64
from torch import Tensor
from typing_extensions import override

from polysemantic import random
from polysemantic.data.base import InputDataModule, Magnitude
from polysemantic.data.feature_groups import check_group_size, group_matrix
from polysemantic.validation.arguments import checked_arguments


class CooccurrenceDial(InputDataModule):
    r"""Every feature on with probability p, and one dial d for how often two of a group are on together.

    In each input a group follows an extreme law with probability :math:`|d|` and otherwise its features are
    independent; groups are independent of one another. Within a group of g features, at every setting,

    .. math:: \phi = d \text{ for } d \ge 0, \qquad \phi = d \, \frac{p}{1 - p} \text{ below.}

    d = -1: mutually exclusive, no two of a group are ever on together. d = 0: independent, bit for bit the inputs of
    `IndependentBernoulli`. d = 1: synchronised, a group is on or off as one. The marginals never change, so that the
    dial alone answers how co-occurrence decides polysemanticity, the open question of the post that presents
    arXiv:2312.03096.

    Args:
        n_features: Input coordinates.
        probability: p. Can vary.
        dial: d. Can vary.
        group_size: g, consecutive features that the dial links; None: all features.
        batch_size: Inputs of one step.
        magnitude: Value of an active feature: `one`, or `uniform` in (0, 1].

    Raises:
        ValueError: If `probability` lies outside [0, 1], `dial` outside [-1, 1], `group_size` does not divide
            `n_features`, or g p > 1 where `dial` < 0: so many features on cannot exclude one another.

    Example:
        >>> data = CooccurrenceDial(n_features=2, probability=0.2, dial=-1.0)
        >>> data.cooccurrence()
        tensor([[[0.2000, 0.0000],
                 [0.0000, 0.2000]]], dtype=torch.float64)
        >>> data.phi()[0, 0, 1]
        tensor(-0.2500, dtype=torch.float64)
    """

    can_vary = ("probability", "dial")

    @checked_arguments()
    def __init__(
        self,
        n_features: int,
        probability: float,
        dial: float,
        group_size: int | None = None,
        batch_size: int = 256,
        magnitude: Magnitude = "one",
    ) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"`probability` must lie in [0, 1], got {probability}.")
        if not -1 <= dial <= 1:
            raise ValueError(f"`dial` must lie in [-1, 1], got {dial}.")
        self.probability = probability
        self.dial = dial
        self.group_size = group_size
        super().__init__(n_features, batch_size, magnitude)
        self._size = n_features if group_size is None else group_size
        check_group_size("group_size", self._size, n_features)
        if dial < 0 and self._size * probability > 1:
            raise ValueError(
                f"`probability` must be at most 1 / {self._size} where `dial` < 0, for {self._size} features "
                f"to exclude one another, got {probability}."
            )

    @override
    def sample(self, keys: random.Keys) -> Float32[Tensor, "*step instance batch feature"]:
        p, dial = self.knob("probability"), self.knob("dial")
        size, groups = self._size, self.n_features // self._size
        extreme = random.bernoulli(keys.fold(1), dial.abs(), self.batch_size, groups)
        # Below 0 the group is on as often as any of its features would be alone, and then with one of them.
        group_on = random.bernoulli(keys.fold(2), torch.where(dial < 0, p * size, p), self.batch_size, groups)
        one = random.integers(keys.fold(3), size, self.batch_size, groups, 1)
        # Probabilities 0 and 1 are exact, so that one draw serves the synchronised groups and the independent ones.
        chance = torch.where(extreme, (group_on & (dial >= 0)).double(), p).unsqueeze(-1)
        on = random.bernoulli(keys, chance, self.batch_size, groups, size)
        alone = (extreme & group_on & (dial < 0)).unsqueeze(-1)
        on.scatter_(-1, one, on.gather(-1, one) | alone)
        return self.activate(on.flatten(-2), keys)

    @override
    def cooccurrence(self) -> Float64[Tensor, "instance feature feature"]:
        p, dial = self.knob("probability"), self.knob("dial")
        together = torch.where(dial < 0, 0, p)
        within = (1 - dial.abs()) * p**2 + dial.abs() * together
        return group_matrix(self.n_features, self._size, diagonal=p, within=within, across=p**2)
