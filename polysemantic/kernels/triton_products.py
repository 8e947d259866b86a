"""Products in kernels that Triton compiles for the GPU where they are launched."""

from __future__ import annotations

from typing import no_type_check

import triton
import triton.language as tl
from torch import Tensor

from polysemantic.kernels.tensor_cores import MULTIPLY, TIMES_TRANSPOSED


def times_transposed(x: Tensor, y: Tensor, out: Tensor) -> None:
    """Write x y^T to `out`; x may be y itself, whose product is symmetric."""
    (n_instances, n_rows, along), n_columns = x.shape, y.shape[1]
    rows, columns = n_rows // TIMES_TRANSPOSED["ROWS"], n_columns // TIMES_TRANSPOSED["COLUMNS"]
    symmetric = x is y
    places = rows * (rows + 1) // 2 if symmetric else rows * columns
    _times_transposed[places, n_instances](
        *_contiguous(x, y, out), n_rows, n_columns, along, SYMMETRIC=symmetric, **TIMES_TRANSPOSED
    )


def product(a: Tensor, b: Tensor, out: Tensor, beta: float, alpha: float, *, transposed: bool = False) -> None:
    """Write alpha a b + beta out to `out`, or alpha a^T b + beta out."""
    (n_instances, along, n_columns), n_rows = b.shape, out.shape[1]
    places = n_rows // MULTIPLY["ROWS"] * (n_columns // MULTIPLY["COLUMNS"])
    strides = (1, n_rows) if transposed else (along, 1)
    _multiply[places, n_instances](
        *_contiguous(a, b, out), n_rows, n_columns, along, *strides, float(beta), float(alpha), **MULTIPLY
    )


def _contiguous(*tensors: Tensor) -> tuple[Tensor, ...]:
    assert all(tensor.is_contiguous() for tensor in tensors)
    return tensors


@triton.jit
@no_type_check
def _times_transposed(
    h: tl.tensor, W: tl.tensor, out: tl.tensor, n_rows: tl.tensor, n_columns: tl.tensor, along: tl.tensor,
    SYMMETRIC: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, ALONG: tl.constexpr,
) -> None:  # fmt: skip
    """A tile of h times W transposed; if h is W, one of those on and below the diagonal, and its mirror image."""
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
    """A tile of alpha times the product of a, whose numbers lie so far from one another, and b, plus beta `out`."""
    place, instance = tl.program_id(0), tl.program_id(1).to(tl.int64)
    n_tiles = n_rows // ROWS
    rows = place % n_tiles * ROWS + tl.arange(0, ROWS)
    columns = place // n_tiles * COLUMNS + tl.arange(0, COLUMNS)
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
