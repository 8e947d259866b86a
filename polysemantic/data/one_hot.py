from __future__ import annotations

import torch
from jaxtyping import Float32, Float64
from torch import Tensor
from typing_extensions import override

from polysemantic import random
from polysemantic.data.base import InputDataModule, Magnitude
from polysemantic.validation.arguments import checked_arguments


class OneHot(InputDataModule):
    r"""Exactly one feature on: :math:`x = e_i`, so that no two features ever meet (arXiv:2312.03096, sec. 2).

    Args:
        n_features: Input coordinates.
        batch_size: Inputs of one step, features drawn uniformly; None shows every feature once in each step.
        magnitude: Value of the active feature: `one`, or `uniform` in (0, 1].

    Example:
        >>> OneHot(n_features=2).inputs(step=0)
        tensor([[[1., 0.],
                 [0., 1.]]])
    """

    @checked_arguments()
    def __init__(self, n_features: int, batch_size: int | None = None, magnitude: Magnitude = "one") -> None:
        super().__init__(n_features, n_features if batch_size is None else batch_size, magnitude)
        self._every_feature = batch_size is None

    @property
    @override
    def every_feature_once(self) -> bool:
        return self._every_feature and self.magnitude == "one"

    @override
    def arguments(self) -> dict[str, object]:
        given = super().arguments()
        # A subclass need not take a batch size.
        return given | ({"batch_size": None} if self._every_feature and "batch_size" in given else {})

    @override
    def divide(self, processes: int) -> None:
        if not self._every_feature:
            super().divide(processes)

    @override
    def sample(self, keys: random.Keys) -> Float32[Tensor, "*step instance batch feature"]:
        n, rows = self.n_features, self.batch_size
        if self._every_feature:
            on = torch.eye(n, dtype=torch.bool, device=self.device)
            on = on.expand(*keys.values.shape[:-1], self.n_instances, n, n)
        else:
            chosen = random.integers(keys, n, rows)
            on = chosen.unsqueeze(-1) == torch.arange(n, device=self.device)
        return self.activate(on, keys)

    @override
    def cooccurrence(self) -> Float64[Tensor, "instance feature feature"]:
        joint = torch.eye(self.n_features, dtype=torch.float64, device=self.device) / self.n_features
        return joint.expand(self.n_instances, -1, -1)
