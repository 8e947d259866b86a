from __future__ import annotations

import warnings

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from scipy.sparse import csr_array
from torch import Tensor

# Where skipping the zeros is worth finding them first (benchmarks/README.md, "Sparse batches").
_LARGEST_SHARE, _LEAST_HIDDEN = 0.1, 512


def sparse_pays(share: float, n_hidden: int) -> bool:
    """Whether products with inputs of which this share is on had better skip the zeros."""
    return share <= _LARGEST_SHARE and n_hidden >= _LEAST_HIDDEN


class SparseInputs:
    """A batch with few features on, for products that skip the zeros.

    All instances are one block-diagonal matrix, kept by rows for :math:`x W` and by columns for :math:`x^T y`. Each row
    of a product adds the same numbers in the same order whatever instances are beside it.

    Args:
        x: Inputs, shape (instance, batch, feature).
    """

    def __init__(self, x: Float[Tensor, "instance batch feature"]) -> None:
        n_instances, batch, n_features = x.shape
        place = _places(x.bool().flatten())
        rows = place // n_features
        # By columns they are in the same order of instances.
        self._instance = rows // batch
        columns = self._instance * n_features + place % n_features
        shape = (n_instances * batch, n_instances * n_features)
        self._by_row = _csr(_starts(rows, shape[0]), columns.int(), x.flatten()[place], shape)
        self._by_column = _transposed(self._by_row)

    def times(
        self, W: Float[Tensor, "instance feature hidden"], out: Float[Tensor, "instance batch hidden"]
    ) -> Float[Tensor, "instance batch hidden"]:
        """The product x W, written to `out`."""
        return _product(self._by_row, W, out)

    def transposed_times(
        self,
        y: Float[Tensor, "instance batch hidden"],
        out: Float[Tensor, "instance feature hidden"],
        scale: Float[Tensor, "instance 1 1"] | None = None,
    ) -> Float[Tensor, "instance feature hidden"]:
        """The product of x transposed, times a number for each instance if given, and y, written to `out`."""
        matrix = self._by_column
        if scale is not None:
            values = matrix.values() * scale.flatten()[self._instance]
            matrix = _csr(matrix.crow_indices(), matrix.col_indices(), values, matrix.shape)
        return _product(matrix, y, out)


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


def _transposed(matrix: Tensor) -> Tensor:
    """The transposed matrix, its rows in order; in main memory scipy counts instead of sorting."""
    starts, columns, values = matrix.crow_indices(), matrix.col_indices(), matrix.values()
    height, width = matrix.shape
    if matrix.device.type == "cpu":
        known = csr_array((values.numpy(), columns.numpy(), starts.numpy()), shape=(height, width)).tocsc()
        starts, columns, values = (torch.from_numpy(part) for part in (known.indptr, known.indices, known.data))
        return _csr(starts, columns, values, (width, height))
    order = columns.argsort(stable=True)
    rows = torch.arange(height, device=starts.device).repeat_interleave(starts.diff())
    return _csr(_starts(columns[order], width), rows[order].int(), values[order], (width, height))


def _csr(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


def _product(matrix: Tensor, dense: Tensor, out: Tensor) -> Tensor:
    flat = out.flatten(0, 1)
    torch.addmm(flat, matrix, dense.flatten(0, 1), beta=0, out=flat)
    return out
