"""Products on the matrix units of x86 processors (AMX)."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float32
from torch import Tensor
from typing_extensions import override

from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.native.base import NativeMatmul
from polysemantic.kernels.problem import Problem


class AmxMatmul(NativeMatmul):
    r"""Float32 products from three products in split bfloat16, summed in float32.

    Each number is split into a high and a low bfloat16. At most :math:`3 \cdot 2^{-16}` of a product of two numbers is
    left out.
    """

    name: ClassVar[str] = "amx"
    source = "amx.cpp"
    instructions = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512bf16", "amx-tile", "amx-bf16")
    units = "matrix units"
    least = 2**21

    @classmethod
    @override
    def supports(cls, problem: Problem) -> bool:
        return problem.processor.amx and super().supports(problem)

    @override
    def nn(
        self,
        x: Float32[Tensor, "instance row n"],
        y: Float32[Tensor, "instance n column"],
        out: Float32[Tensor, "instance row column"],
        *,
        alpha: float = 1,
        beta: float = 0,
    ) -> None:
        if x.shape[1] != x.shape[2]:  # not benchmarked for such shapes, so torch's library multiplies them
            TorchMatmul.nn(self, x, y, out, alpha=alpha, beta=beta)
        else:
            super().nn(x, y, out, alpha=alpha, beta=beta)
