"""Products in registers of 512 bits, where torch's library uses narrower ones."""

from __future__ import annotations

import torch
from jaxtyping import Float32
from torch import Tensor
from typing_extensions import override

from polysemantic.kernels.matmul import library_is_wide
from polysemantic.kernels.native.matmul import NativeProducts, addresses


class VectorProducts(NativeProducts):
    """Float32 products, and of W with its own transpose half."""

    source = "avx512.cpp"
    instructions = ("avx512f", "fma")
    units = "wide registers"
    least = 2**18
    rows = 8
    sparse_up_to = 0.07

    @staticmethod
    @override
    def has_units() -> bool:
        return torch.cpu._is_avx512_supported() and not library_is_wide()

    @override
    def transposed_times(
        self,
        x: Float32[Tensor, "instance n row"],
        y: Float32[Tensor, "instance n column"],
        out: Float32[Tensor, "instance row column"],
        *,
        beta: float = 0,
        alpha: float = 1,
    ) -> None:
        self.library.transposed_times(*addresses(x, y, out), *x.shape, y.shape[2], beta, alpha)
