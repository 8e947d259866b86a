"""Products on the tensor cores of NVIDIA GPUs."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import ClassVar

import torch
from jaxtyping import Float32
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from typing_extensions import override

from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.problem import Problem

# Rows, columns and numbers along the sum of what one program computes at a time, and its warps and stages: of some
# dozen sizes the quickest at 256 features and 1024 neurons, and within a quarter of it at 256 (H200).
TIMES_TRANSPOSED = {"ROWS": 64, "COLUMNS": 64, "ALONG": 64, "num_warps": 4, "num_stages": 3}
MULTIPLY = {"ROWS": 128, "COLUMNS": 64, "ALONG": 32, "num_warps": 4, "num_stages": 3}


class TensorCoreMatmul(TorchMatmul):
    r"""Float32 products from three products in split bfloat16, summed in float32, as `AmxMatmul` computes them.

    Each number is split into a high and a low bfloat16. At most :math:`3 \cdot 2^{-16}` of a product of two numbers is
    left out.
    """

    name: ClassVar[str] = "tensor_cores"

    def __init__(self) -> None:
        # Triton, which comes with torch where there is a GPU, is imported where its kernels are launched alone.
        self._triton = importlib.import_module("polysemantic.kernels.triton_products")

    @classmethod
    @override
    def supports(cls, problem: Problem) -> bool:
        aligned = problem.n_features % MULTIPLY["ROWS"] == 0 and problem.n_hidden % TIMES_TRANSPOSED["ALONG"] == 0
        quick = problem.device == "cuda" and problem.processor.tensor_cores
        return quick and aligned and problem.dtype == torch.float32

    @classmethod
    @override
    def can_be_built(cls) -> bool:
        return _compiles(torch.device("cuda", torch.cuda.current_device()))

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
        if x.shape[1] % MULTIPLY["ROWS"]:
            super().nn(x, y, out, alpha=alpha, beta=beta)
        else:
            self._triton.product(x, y, out, beta, alpha)

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
        if x.shape[1] % MULTIPLY["ALONG"]:
            super().tn(x, y, out, alpha=alpha, beta=beta)
        else:
            self._triton.product(x, y, out, beta, alpha, transposed=True)

    @override
    def nt(
        self,
        x: Float32[Tensor, "instance row n"],
        y: Float32[Tensor, "instance column n"],
        out: Float32[Tensor, "instance row column"],
        *,
        alpha: float = 1,
        beta: float = 0,
    ) -> None:
        if x.shape[1] % TIMES_TRANSPOSED["ROWS"] or alpha != 1 or beta != 0:
            super().nt(x, y, out, alpha=alpha, beta=beta)
        else:
            self._triton.times_transposed(x, y, out)


@functools.cache
def _compiles(device: torch.device) -> bool:
    """Whether the kernels run on a device and are right, tried on small products; says so where they are not."""
    if torch.version.cuda is None or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    if importlib.util.find_spec("triton") is None:
        return _is_missing("Triton is not installed")
    angles = torch.arange(float(MULTIPLY["ROWS"] * TIMES_TRANSPOSED["ALONG"]), device=device)
    W = angles.sin().view(1, MULTIPLY["ROWS"], TIMES_TRANSPOSED["ALONG"])
    overlap, gradient = W.new_empty(1, W.shape[1], W.shape[1]), torch.empty_like(W)
    try:
        matmul = TensorCoreMatmul()
        matmul.nt(W, W, overlap)
        matmul.nn(overlap, W, gradient)
    except Exception as error:  # of the compiler, of a C compiler that it needs, or of the driver: each has its own
        return _is_missing(str(error).strip().splitlines()[-1])
    wanted = W @ W.mT @ W
    return bool((gradient - wanted).norm() < 1e-4 * wanted.norm()) or _is_missing("they are wrong")


def _is_missing(why: str) -> bool:
    """False, once it was said why there are no kernels."""
    rank_zero_warn(f"no kernels for this GPU's tensor cores ({why}): products are the library's, and slower")
    return False
