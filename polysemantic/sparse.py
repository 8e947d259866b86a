from __future__ import annotations

import warnings

import torch
from jaxtyping import Float, Int64
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
        # Flags are searched in half the time of numbers.
        place = x.bool().flatten().nonzero().squeeze(-1)
        values = x.flatten()[place]
        rows, feature = place // n_features, place % n_features
        instance = rows // batch
        columns = instance * n_features + feature
        height, width = n_instances * batch, n_instances * n_features
        self._by_row = _compressed(rows, columns, values, (height, width))
        order = columns.argsort(stable=True)
        self._by_column = _compressed(columns[order], rows[order], values[order], (width, height))

    def times(
        self, W: Float[Tensor, "instance feature hidden"], out: Float[Tensor, "instance batch hidden"]
    ) -> Float[Tensor, "instance batch hidden"]:
        """The product x W, written to `out`."""
        return _product(self._by_row, W, out)

    def transposed_times(
        self, y: Float[Tensor, "instance batch hidden"], out: Float[Tensor, "instance feature hidden"]
    ) -> Float[Tensor, "instance feature hidden"]:
        """The product of x transposed and y, written to `out`."""
        return _product(self._by_column, y, out)


def _compressed(
    sorted_rows: Int64[Tensor, " entry"], columns: Int64[Tensor, " entry"], values: Tensor, shape: tuple[int, int]
) -> Tensor:
    starts = torch.zeros(shape[0] + 1, dtype=torch.int32, device=values.device)
    starts[1:] = sorted_rows.bincount(minlength=shape[0]).cumsum(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, columns.int(), values, shape, check_invariants=False)


def _product(matrix: Tensor, dense: Tensor, out: Tensor) -> Tensor:
    flat = out.flatten(0, 1)
    torch.addmm(flat, matrix, dense.flatten(0, 1), beta=0, out=flat)
    return out
