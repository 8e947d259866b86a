"""Half of the product W W^T, which is symmetric."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.problem import Problem

# From so many neurons on, half of the product by numpy takes less time than all of it by torch's library at its best.
_WIDE = 512


class SymmetricMatmul(TorchMatmul):
    """W W^T by numpy, whose BLAS call computes one half of a symmetric product; all else by torch's library."""

    name: ClassVar[str] = "symmetric"

    @classmethod
    @override
    def supports(cls, problem: Problem) -> bool:
        narrow_library = not problem.processor.library_avx512
        in_numpy = problem.device == "cpu" and problem.dtype in (torch.float32, torch.float64)
        return in_numpy and problem.is_large and (problem.n_hidden >= _WIDE or narrow_library)

    @override
    def nt(
        self,
        x: Float[Tensor, "instance row n"],
        y: Float[Tensor, "instance column n"],
        out: Float[Tensor, "instance row column"],
        *,
        alpha: float = 1,
        beta: float = 0,
    ) -> None:
        if x is y and alpha == 1 and beta == 0:
            np.matmul(x.numpy(), x.mT.numpy(), out=out.numpy())
        else:
            super().nt(x, y, out, alpha=alpha, beta=beta)
