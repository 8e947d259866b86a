"""Products on the tensor cores of NVIDIA GPUs, in kernels that Triton compiles where they are."""

from __future__ import annotations

import functools
from typing import ClassVar, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float32
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from typing_extensions import override

from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.problem import Problem

# Rows, columns and numbers along the sum of what one program computes at a time, and its warps and stages: of some
# dozen sizes the quickest at 256 features and 1024 neurons, and within a quarter of it at 256 (H200).
_TIMES_TRANSPOSED = {"ROWS": 64, "COLUMNS": 64, "ALONG": 64, "num_warps": 4, "num_stages": 3}
_MULTIPLY = {"ROWS": 128, "COLUMNS": 64, "ALONG": 32, "num_warps": 4, "num_stages": 3}


class TensorCoreMatmul(TorchMatmul):
    r"""Float32 products from three products of bfloat16 parts, summed in float32, as `AmxMatmul` computes them.

    The parts leave out at most :math:`3 \cdot 2^{-16}` of a product of two numbers.
    """

    name: ClassVar[str] = "tensor_cores"

    @classmethod
    @override
    def supports(cls, problem: Problem) -> bool:
        whole = problem.n_features % _MULTIPLY["ROWS"] == 0 and problem.n_hidden % _TIMES_TRANSPOSED["ALONG"] == 0
        quick = problem.device == "cuda" and problem.processor.tensor_cores
        return quick and whole and problem.dtype == torch.float32

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
        if x.shape[1] % _MULTIPLY["ROWS"]:
            super().nn(x, y, out, alpha=alpha, beta=beta)
        else:
            _product(x, y, out, beta, alpha)

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
        if x.shape[1] % _MULTIPLY["ALONG"]:
            super().tn(x, y, out, alpha=alpha, beta=beta)
        else:
            _product(x, y, out, beta, alpha, transposed=True)

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
        n_instances, n_rows, along = x.shape
        if n_rows % _TIMES_TRANSPOSED["ROWS"] or alpha != 1 or beta != 0:
            super().nt(x, y, out, alpha=alpha, beta=beta)
            return
        rows, columns = n_rows // _TIMES_TRANSPOSED["ROWS"], y.shape[1] // _TIMES_TRANSPOSED["COLUMNS"]
        symmetric = x is y
        places = rows * (rows + 1) // 2 if symmetric else rows * columns
        _times_transposed[places, n_instances](
            *_contiguous(x, y, out), n_rows, y.shape[1], along, SYMMETRIC=symmetric, **_TIMES_TRANSPOSED
        )


def _product(a: Tensor, b: Tensor, out: Tensor, beta: float, alpha: float, *, transposed: bool = False) -> None:
    """Write alpha a b + beta out to `out`, or alpha a^T b + beta out."""
    (n_instances, along, n_columns), n_rows = b.shape, out.shape[1]
    places = n_rows // _MULTIPLY["ROWS"] * (n_columns // _MULTIPLY["COLUMNS"])
    strides = (1, n_rows) if transposed else (along, 1)
    _multiply[places, n_instances](
        *_contiguous(a, b, out), n_rows, n_columns, along, *strides, float(beta), float(alpha), **_MULTIPLY
    )


def _contiguous(*tensors: Tensor) -> tuple[Tensor, ...]:
    assert all(tensor.is_contiguous() for tensor in tensors)
    return tensors


@functools.cache
def _compiles(device: torch.device) -> bool:
    """Whether the kernels run on a device and are right, tried on small products; says so where they are not."""
    if torch.version.cuda is None or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    angles = torch.arange(float(_MULTIPLY["ROWS"] * _TIMES_TRANSPOSED["ALONG"]), device=device)
    W = angles.sin().view(1, _MULTIPLY["ROWS"], _TIMES_TRANSPOSED["ALONG"])
    overlap, gradient = W.new_empty(1, W.shape[1], W.shape[1]), torch.empty_like(W)
    matmul = TensorCoreMatmul()
    try:
        matmul.nt(W, W, overlap)
        matmul.nn(overlap, W, gradient)
    except Exception as error:  # of the compiler, of a C compiler that it needs, or of the driver: each has its own
        wrong = str(error).strip().splitlines()[-1]
    else:
        wanted = W @ W.mT @ W
        if bool((gradient - wanted).norm() < 1e-4 * wanted.norm()):
            return True
        wrong = "they are wrong"
    rank_zero_warn(f"no kernels for this GPU's tensor cores ({wrong}): products are the library's, and slower")
    return False


@triton.jit
@no_type_check
def _times_transposed(
    h: tl.tensor, W: tl.tensor, out: tl.tensor, n_rows: tl.tensor, n_columns: tl.tensor, along: tl.tensor,
    SYMMETRIC: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, ALONG: tl.constexpr,
) -> None:  # fmt: skip
    """A block of h times W transposed; if h is W, one of those on and below the diagonal, and its mirror image."""
    place, instance = tl.program_id(0), tl.program_id(1).to(tl.int64)
    if SYMMETRIC:
        row = ((tl.sqrt(8.0 * place + 1.0) - 1.0) / 2.0).to(tl.int32)
        # Where the root was rounded to the wrong side of a whole number.
        row = tl.where((row + 1) * (row + 2) // 2 <= place, row + 1, row)
        row = tl.where(row * (row + 1) // 2 > place, row - 1, row)
        column = place - row * (row + 1) // 2
    else:
        row, column = place // (n_columns // COLUMNS), place % (n_columns // COLUMNS)
    rows, columns = row * ROWS + tl.arange(0, ROWS), column * COLUMNS + tl.arange(0, COLUMNS)
    steps = tl.arange(0, ALONG)
    left = h + instance * n_rows * along + rows[:, None] * along + steps[None, :]
    right = W + instance * n_columns * along + columns[:, None] * along + steps[None, :]
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, along, ALONG):
        total = tl.dot(tl.load(left + start), tl.trans(tl.load(right + start)), total, input_precision="bf16x3")
    of_instance = out + instance * n_rows * n_columns
    tl.store(of_instance + rows[:, None] * n_columns + columns[None, :], total)
    if SYMMETRIC:  # noqa: SIM102 - known when the kernel is compiled, and the other where it runs
        if row != column:
            tl.store(of_instance + columns[:, None] * n_columns + rows[None, :], tl.trans(total))


@triton.jit
@no_type_check
def _multiply(
    a: tl.tensor, b: tl.tensor, out: tl.tensor, n_rows: tl.tensor, n_columns: tl.tensor, along: tl.tensor,
    row_stride: tl.tensor, along_stride: tl.tensor, beta: tl.tensor, alpha: tl.tensor,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, ALONG: tl.constexpr,
) -> None:  # fmt: skip
    """A block of alpha times the product of a, whose numbers lie so far from one another, and b, plus beta `out`."""
    place, instance = tl.program_id(0), tl.program_id(1).to(tl.int64)
    n_blocks = n_rows // ROWS
    rows = place % n_blocks * ROWS + tl.arange(0, ROWS)
    columns = place // n_blocks * COLUMNS + tl.arange(0, COLUMNS)
    steps = tl.arange(0, ALONG)
    left = a + instance * n_rows * along + rows[:, None] * row_stride + steps[None, :] * along_stride
    right = b + instance * along * n_columns + steps[:, None] * n_columns + columns[None, :]
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, along, ALONG):
        one, other = tl.load(left + start * along_stride), tl.load(right + start * n_columns)
        total = tl.dot(one, other, total, input_precision="bf16x3")
    target = out + instance * n_rows * n_columns + rows[:, None] * n_columns + columns[None, :]
    total *= alpha
    if beta != 0:
        total += beta * tl.load(target)
    tl.store(target, total)
