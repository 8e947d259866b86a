"""The large products of a step of tied linear networks, and what computes them quickest."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override


class Products:
    """Products by torch's own library, each written to `out`, which is not read where beta is 0."""

    sparse_up_to: ClassVar[float] = 0.1
    """Share of features that are on up to which to skip the others is quicker (benchmarks/README.md)."""

    def times(
        self,
        x: Float[Tensor, "instance row n"],
        y: Float[Tensor, "instance n column"],
        out: Float[Tensor, "instance row column"],
        *,
        beta: float = 0,
        alpha: float = 1,
    ) -> None:
        """Alpha x y + beta out."""
        _add(x, y, out, beta, alpha)

    def transposed_times(
        self,
        x: Float[Tensor, "instance n row"],
        y: Float[Tensor, "instance n column"],
        out: Float[Tensor, "instance row column"],
        *,
        beta: float = 0,
        alpha: float = 1,
    ) -> None:
        """Alpha x^T y + beta out."""
        _add(x.mT, y, out, beta, alpha)

    def times_transposed(
        self,
        x: Float[Tensor, "instance row n"],
        y: Float[Tensor, "instance column n"],
        out: Float[Tensor, "instance row column"],
    ) -> None:
        """The product x y^T; x may be y itself."""
        torch.bmm(x, y.mT, out=out)


def _add(x: Tensor, y: Tensor, out: Tensor, beta: float, alpha: float) -> None:
    if beta == 0 and alpha == 1:
        torch.bmm(x, y, out=out)
    else:
        out.baddbmm_(x, y, beta=beta, alpha=alpha)


class HalvedProducts(Products):
    """W W^T by numpy, which knows the product to be symmetric and computes half of it; in main memory only."""

    @override
    def times_transposed(
        self,
        x: Float[Tensor, "instance row n"],
        y: Float[Tensor, "instance column n"],
        out: Float[Tensor, "instance row column"],
    ) -> None:
        if x is y:
            np.matmul(x.numpy(), x.mT.numpy(), out=out.numpy())
        else:
            super().times_transposed(x, y, out)


def library_is_wide() -> bool:
    """Whether torch's library multiplies in registers of 512 bits, which it does on processors by Intel alone."""
    return "AVX512" in torch.backends.cpu.get_cpu_capability() and _by_intel()


def _by_intel() -> bool:
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True  # not known, so taken to be one that the library is made for
