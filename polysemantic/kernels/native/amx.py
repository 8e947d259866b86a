"""Products on the matrix units of x86 processors."""

from __future__ import annotations

import torch
from jaxtyping import Float32
from torch import Tensor
from typing_extensions import override

from polysemantic.kernels.matmul import Products
from polysemantic.kernels.native.matmul import NativeProducts


class TiledProducts(NativeProducts):
    r"""Float32 products from three of bfloat16 parts each, summed in float32.

    What the parts leave out of a product of two numbers is at most :math:`3 \cdot 2^{-16}` of it.
    """

    source = "amx.cpp"
    instructions = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512bf16", "amx-tile", "amx-bf16")
    units = "matrix units"
    least = 2**21

    @staticmethod
    @override
    def has_units() -> bool:
        supported = torch.cpu._is_amx_tile_supported() and torch.cpu._is_avx512_bf16_supported()
        return supported and torch.cpu._init_amx()  # which asks the system for leave to use them

    @override
    def times(
        self,
        x: Float32[Tensor, "instance row n"],
        y: Float32[Tensor, "instance n column"],
        out: Float32[Tensor, "instance row column"],
        *,
        beta: float = 0,
        alpha: float = 1,
    ) -> None:
        if x.shape[1] != x.shape[2]:  # of no such product it was measured whether it is quicker
            Products.times(self, x, y, out, beta=beta, alpha=alpha)
        else:
            super().times(x, y, out, beta=beta, alpha=alpha)
