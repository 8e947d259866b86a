from __future__ import annotations

import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor
from typing_extensions import override

from polysemantic import random
from polysemantic.data.base import InputDataModule, Magnitude
from polysemantic.data.feature_groups import check_group_size, group_matrix
from polysemantic.data.subset import uniform_subset
from polysemantic.validation.arguments import checked_arguments


class HalfSplit(InputDataModule):
    r"""One of r equal parts of the features, chosen at random, with exactly the fraction a of its coordinates on.

    With parts of :math:`s = n / r` features and :math:`k = a s`,

    .. math:: P(i) = \frac{a}{r}, \qquad P(i, j) = \frac{k (k - 1)}{r \, s (s - 1)} \text{ within a part, 0 across.}

    Features of different parts never meet, so a same-sign collision across parts can be lossless once a neuron tells
    the parts apart. a = 1: the whole part, its features are then one. a = 1/s: one-hot inputs. The two halves with
    half of one on are the inputs of the disambiguation question, a reader's comment on the post that presents
    arXiv:2312.03096.

    Args:
        n_features: Input coordinates, a multiple of `n_parts`.
        n_parts: r, parts of consecutive features.
        active_fraction: a, such that a s is a whole number. Can vary.
        batch_size: Inputs of one step.
        magnitude: Value of an active feature: `one`, or `uniform` in (0, 1].

    Raises:
        ValueError: If `n_parts` is below 2 or does not divide `n_features`, or `active_fraction` lies outside (0, 1]
            or gives no whole number of features.

    Example:
        >>> halves = HalfSplit(n_features=8, batch_size=2)
        >>> halves.inputs(step=1).unflatten(-1, (2, 4)).sum(-1)
        tensor([[[2., 0.],
                 [0., 2.]]])
        >>> halves.partition
        tensor([ 1.,  1.,  1.,  1., -1., -1., -1., -1.])
    """

    can_vary = ("active_fraction",)
    min_features = 2

    @checked_arguments()
    def __init__(
        self,
        n_features: int,
        n_parts: int = 2,
        active_fraction: float = 0.5,
        batch_size: int = 256,
        magnitude: Magnitude = "one",
    ) -> None:
        self.n_parts = n_parts
        self.active_fraction = active_fraction
        super().__init__(n_features, batch_size, magnitude)
        if n_parts < 2:
            raise ValueError(f"`n_parts` must be at least 2, got {n_parts}.")
        check_group_size("n_parts", n_parts, n_features)
        if not 0 < active_fraction <= 1:
            raise ValueError(f"`active_fraction` must lie in (0, 1], got {active_fraction}.")
        self.part_size = n_features // n_parts
        count = active_fraction * self.part_size
        # 1/3 of 9 features is a whole number of them, though not in floating point.
        if abs(count - round(count)) > 1e-6 or round(count) == 0:
            raise ValueError(
                f"`active_fraction` must give a whole number of the {self.part_size} features of a part, "
                f"got {active_fraction}."
            )

    @property
    @override
    def partition(self) -> Float[Tensor, " feature"] | None:
        if self.n_parts != 2:
            return None
        return torch.tensor([1.0, -1.0], device=self.device).repeat_interleave(self.part_size)

    def _counts(self) -> Float64[Tensor, "instance 1 1"]:
        return (self.knob("active_fraction") * self.part_size).round()

    @override
    def sample(self, keys: random.Keys) -> Float32[Tensor, "*step instance batch feature"]:
        counts = [int(count) for count in self._counts().flatten().tolist()]
        inside = uniform_subset(keys, self.part_size, counts, self.batch_size)
        part = random.integers(keys.fold(1), self.n_parts, self.batch_size, 1, 1)
        chosen = part == torch.arange(self.n_parts, device=self.device).unsqueeze(-1)
        return self.activate((chosen & inside.unsqueeze(-2)).flatten(-2), keys)

    @override
    def cooccurrence(self) -> Float64[Tensor, "instance feature feature"]:
        count, size = self._counts(), self.part_size
        marginal = count / self.n_features
        # A part of one feature has no pairs; the 1 only keeps its division defined.
        within = marginal * (count - 1) / max(size - 1, 1)
        return group_matrix(self.n_features, size, marginal, within, across=torch.zeros_like(marginal))
