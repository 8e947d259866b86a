"""The two products of a step of tied linear networks on every feature once, and what computes them quickest."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


class Products:
    """Products by torch's own library."""

    def gram(self, W: Float[Tensor, "instance feature hidden"], out: Float[Tensor, "instance feature feature"]) -> None:
        """Write W W^T, the product of W with its own transpose, to `out`."""
        torch.bmm(W, W.mT, out=out)

    def accumulate(
        self,
        overlap: Float[Tensor, "instance feature feature"],
        W: Float[Tensor, "instance feature hidden"],
        out: Float[Tensor, "instance feature hidden"],
        *,
        beta: float,
        alpha: float,
    ) -> None:
        """Write alpha times the product of `overlap` and W, plus beta times `out` unless beta is 0, to `out`."""
        out.baddbmm_(overlap, W, beta=beta, alpha=alpha)


class HalvedProducts(Products):
    """W W^T by numpy, which knows the product to be symmetric and computes half of it; in main memory only."""

    def gram(self, W: Float[Tensor, "instance feature hidden"], out: Float[Tensor, "instance feature feature"]) -> None:
        """See `Products`."""
        np.matmul(W.numpy(), W.mT.numpy(), out=out.numpy())
