"""Products in registers of 512 bits, where torch's library uses narrower ones."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float32
from torch import Tensor
from typing_extensions import override

from polysemantic.kernels.native.base import NativeMatmul, addresses
from polysemantic.kernels.problem import Problem


class Avx512Matmul(NativeMatmul):
    """Float32 products, and one half of W W^T."""

    name: ClassVar[str] = "avx512"
    source = "avx512.cpp"
    instructions = ("avx512f", "fma")
    units = "wide registers"
    least = 2**18
    rows = 8
    sparse_up_to = 0.07

    @classmethod
    @override
    def supports(cls, problem: Problem) -> bool:
        processor = problem.processor
        return processor.avx512 and not processor.library_avx512 and super().supports(problem)

    @override
    def tn(
        self,
        x: Float32[Tensor, "instance n row"],
        y: Float32[Tensor, "instance n column"],
        out: Float32[Tensor, "instance row column"],
        *,
        alpha: float = 1,
        beta: float = 0,
    ) -> None:
        self.library.tn(*addresses(x, y, out), *x.shape, y.shape[2], beta, alpha)
