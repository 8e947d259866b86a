from __future__ import annotations

import itertools
import warnings
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int32, Int64
from scipy.sparse import csr_array
from torch import Tensor
from typing_extensions import override

from polysemantic.kernels.matmul import Matmul, TorchMatmul
from polysemantic.kernels.problem import Problem

with warnings.catch_warnings():
    # Torch says of the first of these that they are in beta. Later on, threads would undo what others ignore.
    warnings.simplefilter("ignore")
    torch.eye(1).to_sparse_csr()

# From so many neurons on, skipping the zeros is worth finding them first (benchmarks/README.md, "Sparse batches").
_LEAST_HIDDEN = 512


def skipping_zeros_pays(problem: Problem, up_to: float) -> bool:
    """Whether products with the inputs are quicker if they skip the zeros.

    Args:
        problem: What is computed.
        up_to: `sparse_up_to` of the kernel that would multiply zeros too.
    """
    dense = problem.batch is None or problem.device != "cpu" or not problem.standard
    return not dense and problem.density <= up_to and problem.n_hidden >= _LEAST_HIDDEN


class SparseInputs:
    """A batch with few features on, for products that skip the zeros.

    All instances are one block-diagonal matrix, kept by rows for :math:`x W` and by columns for :math:`x^T y`. Each row
    of a product adds the same numbers in the same order whatever instances are beside it.

    Args:
        x: Inputs, shape (instance, batch, feature).
        by_row: They as that matrix.
        by_column: That transposed.
    """

    def __init__(self, x: Float[Tensor, "instance batch feature"], by_row: Tensor, by_column: Tensor) -> None:
        self.x, self._by_row, self._by_column = x, by_row, by_column

    @classmethod
    def of_steps(cls, x: Float[Tensor, "step instance batch feature"]) -> list[SparseInputs]:
        """The batches of several steps, which takes hardly longer than that of one."""
        n_steps, n_instances, batch, n_features = x.shape
        place = _places(x.bool().flatten())
        rows = place // n_features
        columns = rows // batch * n_features + place % n_features
        shape = (n_instances * batch, n_instances * n_features)
        by_row = _Csr(_starts(rows, n_steps * shape[0]), columns.int(), x.flatten()[place])
        by_column = by_row.transposed(n_steps * shape[1])
        halves = zip(x, by_row.cut(n_steps, shape[1]), by_column.cut(n_steps, shape[0]), strict=True)
        return [cls(*half) for half in halves]

    def nn(
        self, W: Float[Tensor, "instance feature hidden"], out: Float[Tensor, "instance batch hidden"]
    ) -> Float[Tensor, "instance batch hidden"]:
        """The product x W, written to `out`."""
        return _product(self._by_row, W, out)

    def tn(
        self, y: Float[Tensor, "instance batch hidden"], out: Float[Tensor, "instance feature hidden"]
    ) -> Float[Tensor, "instance feature hidden"]:
        """The product of x transposed and y, written to `out`."""
        return _product(self._by_column, y, out)


class SparseInputMatmul(TorchMatmul):
    """Products of another kernel, but with the zeros skipped where the left matrix is the batch at hand.

    Args:
        dense: The other kernel.
    """

    name: ClassVar[str] = "sparse inputs"

    def __init__(self, dense: Matmul) -> None:
        self.dense = dense
        self._batch: SparseInputs | None = None

    def use(self, batch: SparseInputs) -> Tensor:
        """Take a batch for the one at hand, and give it as a dense tensor, which products then recognise."""
        self._batch = batch
        return batch.x

    @override
    def nn(self, x: Tensor, y: Tensor, out: Tensor, *, alpha: float = 1, beta: float = 0) -> None:
        if self._batch is not None and x is self._batch.x and alpha == 1 and beta == 0:
            self._batch.nn(y, out)
        else:
            self.dense.nn(x, y, out, alpha=alpha, beta=beta)

    @override
    def tn(self, x: Tensor, y: Tensor, out: Tensor, *, alpha: float = 1, beta: float = 0) -> None:
        if self._batch is not None and x is self._batch.x and alpha == 1 and beta == 0:
            self._batch.tn(y, out)
        else:
            self.dense.tn(x, y, out, alpha=alpha, beta=beta)

    @override
    def nt(self, x: Tensor, y: Tensor, out: Tensor, *, alpha: float = 1, beta: float = 0) -> None:
        self.dense.nt(x, y, out, alpha=alpha, beta=beta)


def _places(on: Bool[Tensor, " flag"]) -> Int64[Tensor, " entry"]:
    """Where flags are set, of which most are not: in main memory eight are looked at together first."""
    if on.device.type != "cpu" or len(on) % 8:
        return on.nonzero().squeeze(-1)
    words = on.numpy().view(np.int64)
    some = np.flatnonzero(words != 0)
    within = np.flatnonzero(words[some].view(np.bool_))
    return torch.from_numpy(some[within // 8] * 8 + within % 8)


def _starts(rising: Int64[Tensor, " entry"], length: int) -> Int[Tensor, " row_and_end"]:
    starts = torch.zeros(length + 1, dtype=torch.int32, device=rising.device)
    starts[1:] = rising.bincount(minlength=length).cumsum(0)
    return starts


class _Csr(NamedTuple):
    """A matrix whose columns of each row are in order: where rows start, and end, among columns and values."""

    starts: Int[Tensor, " row_and_end"]
    columns: Int32[Tensor, " entry"]
    values: Float[Tensor, " entry"]

    def transposed(self, width: int) -> _Csr:
        """The transposed matrix; in main memory scipy counts instead of sorting."""
        starts, columns, values = self
        height = len(starts) - 1
        if starts.device.type == "cpu":
            known = csr_array((values.numpy(), columns.numpy(), starts.numpy()), shape=(height, width)).tocsc()
            return _Csr(*(torch.from_numpy(part) for part in (known.indptr, known.indices, known.data)))
        order = columns.argsort(stable=True)
        rows = torch.arange(height, device=starts.device).repeat_interleave(starts.diff())
        return _Csr(_starts(columns[order], width), rows[order].int(), values[order])

    def cut(self, n: int, width: int) -> list[Tensor]:
        """As many blocks, of so many columns, as the matrix has along its diagonal."""
        height = (len(self.starts) - 1) // n
        starts = self.starts.unfold(0, height + 1, height)
        ends = [*starts[:, 0].tolist(), len(self.values)]
        starts, columns = starts - starts[:, :1], self.columns % width
        return [
            _sparse(starts[at], columns[start:end], self.values[start:end], (height, width))
            for at, (start, end) in enumerate(itertools.pairwise(ends))
        ]


def _sparse(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


def _product(matrix: Tensor, dense: Tensor, out: Tensor) -> Tensor:
    flat = out.flatten(0, 1)
    torch.addmm(flat, matrix, dense.flatten(0, 1), beta=0, out=flat)
    return out
