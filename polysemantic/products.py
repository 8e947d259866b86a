"""The large products of a step of tied linear networks, and what computes them quickest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override


class Products:
    """Products by torch's own library."""

    def encode(
        self,
        x: Float[Tensor, "instance batch feature"],
        W: Float[Tensor, "instance feature hidden"],
        out: Float[Tensor, "instance batch hidden"],
    ) -> None:
        """Write the product of x and W to `out`."""
        torch.bmm(x, W, out=out)

    def transposed_times(
        self,
        x: Float[Tensor, "instance batch feature"],
        y: Float[Tensor, "instance batch column"],
        out: Float[Tensor, "instance feature column"],
    ) -> None:
        """Write the product of x transposed and y to `out`."""
        torch.bmm(x.mT, y, out=out)

    def decode(
        self,
        h: Float[Tensor, "instance batch hidden"],
        W: Float[Tensor, "instance feature hidden"],
        out: Float[Tensor, "instance batch feature"],
    ) -> None:
        """Write the product of h and W transposed to `out`; h may be W itself."""
        torch.bmm(h, W.mT, out=out)

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

    @override
    def decode(
        self,
        h: Float[Tensor, "instance batch hidden"],
        W: Float[Tensor, "instance feature hidden"],
        out: Float[Tensor, "instance batch feature"],
    ) -> None:
        if h is W:
            np.matmul(W.numpy(), W.mT.numpy(), out=out.numpy())
        else:
            super().decode(h, W, out)


def library_is_wide() -> bool:
    """Whether torch's library multiplies in registers of 512 bits, which it does on processors by Intel alone."""
    return "AVX512" in torch.backends.cpu.get_cpu_capability() and _by_intel()


def _by_intel() -> bool:
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True  # not known, so taken to be one that the library is made for
