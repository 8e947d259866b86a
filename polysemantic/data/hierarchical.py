from __future__ import annotations

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor
from typing_extensions import override

from polysemantic import random
from polysemantic.data.base import InputDataModule, Magnitude
from polysemantic.validation.arguments import checked_arguments


class Hierarchical(InputDataModule):
    r"""Trees of features in which a child is on only when its parent is, as "dog" implies "animal".

    A root is on with probability p, and so is a child whose parent is on; with `exclusive`, at most one child of a
    parent is on, each with probability p / b. Features are ordered by level: first all roots; child c of the r-th
    feature of a level is the (r b + c)-th of the next.

    .. math:: P(i) = p^{|A_i|}, \qquad P(i, j) = p^{|A_i \cup A_j|}, \qquad A_i \text{ the path from the root to } i;

    with `exclusive` :math:`P(i) = p (p / b)^{|A_i| - 1}`, and P(i, j) is that of the deeper one on a common path and 0
    between branches of a tree. p = 1: all on, or with `exclusive` exactly one path of each tree. depth = 1: independent
    features. Features that imply others are those that sparse autoencoders absorb (arXiv:2409.14507).

    Args:
        n_features: Input coordinates, a multiple of the size of a tree, :math:`1 + b + \dots + b^{depth - 1}`.
        probability: p. Can vary.
        depth: Levels of a tree.
        branching: b, children of each parent.
        exclusive: Whether at most one child of a parent is on.
        batch_size: Inputs of one step.
        magnitude: Value of an active feature: `one`, or `uniform` in (0, 1].

    Raises:
        ValueError: If `probability` lies outside [0, 1], `depth` or `branching` is below 1, or `n_features` is no
            multiple of the size of a tree.

    Example:
        >>> Hierarchical(n_features=3, probability=0.5, exclusive=True).cooccurrence()
        tensor([[[0.5000, 0.1250, 0.1250],
                 [0.1250, 0.1250, 0.0000],
                 [0.1250, 0.0000, 0.1250]]], dtype=torch.float64)
    """

    can_vary = ("probability",)

    @checked_arguments()
    def __init__(
        self,
        n_features: int,
        probability: float,
        depth: int = 2,
        branching: int = 2,
        exclusive: bool = False,
        batch_size: int = 256,
        magnitude: Magnitude = "one",
    ) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"`probability` must lie in [0, 1], got {probability}.")
        if depth < 1:
            raise ValueError(f"`depth` must be at least 1, got {depth}.")
        if branching < 1:
            raise ValueError(f"`branching` must be at least 1, got {branching}.")
        self.probability = probability
        self.depth = depth
        self.branching = branching
        self.exclusive = exclusive
        super().__init__(n_features, batch_size, magnitude)
        tree = sum(branching**level for level in range(depth))
        if n_features % tree:
            raise ValueError(f"`n_features` must be a multiple of {tree}, the size of a tree, got {n_features}.")
        self.n_roots = n_features // tree

    @property
    def parents(self) -> Int64[Tensor, " feature"]:
        """The parent of each feature, -1 for a root."""
        first_children = torch.arange(self.n_features - self.n_roots * self.branching ** (self.depth - 1))
        roots = torch.full((self.n_roots,), -1)
        return torch.cat([roots, first_children.repeat_interleave(self.branching)]).to(self.device)

    @override
    def sample(self, keys: random.Keys) -> Float32[Tensor, "*step instance batch feature"]:
        levels = [random.bernoulli(keys, self.knob("probability"), self.batch_size, self.n_roots)]
        for level in range(1, self.depth):
            levels.append(self._children(levels[-1], keys.fold(level)))
        return self.activate(torch.cat(levels, dim=-1), keys)

    def _children(
        self, on: Bool[Tensor, "*step instance batch parent"], keys: random.Keys
    ) -> Bool[Tensor, "*step instance batch child"]:
        p, parents, branching = self.knob("probability"), on.shape[-1], self.branching
        if not self.exclusive:
            drawn = random.bernoulli(keys, p, self.batch_size, parents * branching)
            return drawn & on.repeat_interleave(branching, dim=-1)
        with_child = on & random.bernoulli(keys, p, self.batch_size, parents)
        only = random.integers(keys.fold(1), branching, self.batch_size, parents, 1)
        return (with_child.unsqueeze(-1) & (only == torch.arange(branching, device=only.device))).flatten(-2)

    def _ancestors(self) -> Float64[Tensor, "feature feature"]:
        """1 where the second feature lies on the path from the root to the first, both ends included."""
        ancestors = torch.eye(self.n_features, dtype=torch.float64, device=self.device)
        for child, parent in enumerate(self.parents.tolist()):
            if parent >= 0:
                ancestors[child] += ancestors[parent]
        return ancestors

    @override
    def cooccurrence(self) -> Float64[Tensor, "instance feature feature"]:
        p, ancestors = self.knob("probability"), self._ancestors()
        depth, shared = ancestors.sum(-1), ancestors @ ancestors.T
        if not self.exclusive:
            return p ** (depth.unsqueeze(-1) + depth - shared)
        marginal = p**depth / self.branching ** (depth - 1)
        joint = torch.where(shared > 0, 0, marginal.mT * marginal)
        deeper = torch.where(ancestors > 0, marginal.mT, marginal)
        return torch.where(ancestors + ancestors.T > 0, deeper, joint)
