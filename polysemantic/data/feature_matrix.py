"""Feature matrices in files: opened, checked and counted in chunks of rows that fit into memory."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Float64, Int64
from numpy.typing import NDArray
from scipy import sparse

_UNREADABLE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)

Rows = NDArray[Any] | sparse.csr_array


class FeatureMatrix:
    """The rows of a feature matrix in a file; a dense .npy file stays on the disk and is read as needed.

    Args:
        path: A file that ends in .npy (dense), .npz (`scipy.sparse.save_npz`) or .parquet (one column per feature).
        chunk_numbers: Numbers of a chunk of rows that is checked or counted at a time, here 16 MiB of float32. Below
            2^24, so that float32 counts the rows of a chunk exactly.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or holds anything but a matrix of finite numbers of at least 0.
    """

    def __init__(self, path: str, chunk_numbers: int = 2**22) -> None:
        readers = {".npy": _open_npy, ".npz": _read_npz, ".parquet": _read_parquet}
        if not Path(path).is_file():
            raise FileNotFoundError(f"`path` must name an existing file, got {path}.")
        if (suffix := Path(path).suffix) not in readers:
            raise ValueError(f"`path` must end in {', '.join(readers)}, got {path}.")
        try:
            matrix = readers[suffix](path)
        except _UNREADABLE as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(f"`path` must name a readable {suffix} matrix, got {path}: {reason}") from error
        if matrix.ndim != 2 or 0 in matrix.shape:
            raise ValueError(f"`path` must hold rows of features, got shape {matrix.shape} in {path}.")
        if matrix.dtype.kind not in "biuf":
            raise ValueError(f"`path` must hold integers, floats or booleans, got {matrix.dtype} in {path}.")
        self._rows: Rows = _canonical(matrix) if sparse.issparse(matrix) else matrix
        self.shape: tuple[int, int] = matrix.shape
        self._chunk_height = max(1, chunk_numbers // self.shape[1])
        for start, chunk in self._chunks():
            _check_values(chunk, start, path)

    def rows(self, index: Int64[np.ndarray, " row"]) -> Float32[np.ndarray, "row feature"]:
        """Some rows, dense."""
        rows = self._rows[index]
        return _float32(rows.toarray() if isinstance(rows, sparse.csr_array) else rows)

    def cooccurrence(self) -> Float64[np.ndarray, "feature feature"]:
        """The share of rows in which features i and j are both above 0."""
        counts = np.zeros((self.shape[1], self.shape[1]))
        for _, chunk in self._chunks():
            on = (chunk > 0).astype(np.float32)
            together = on.T @ on
            counts += together.toarray() if sparse.issparse(together) else together
        return counts / self.shape[0]

    def _chunks(self) -> Iterator[tuple[int, Rows]]:
        for start in range(0, self.shape[0], self._chunk_height):
            chunk = self._rows[start : start + self._chunk_height]
            yield start, chunk if isinstance(chunk, sparse.csr_array) else _float32(chunk)


def _check_values(chunk: Rows, start: int, path: str) -> None:
    values = chunk.data if isinstance(chunk, sparse.csr_array) else chunk
    # A nan is the minimum wherever there is one, and not at least 0.
    if values.size == 0 or (values.min() >= 0 and values.max() < np.inf):
        return
    row, feature = chunk.nonzero() if isinstance(chunk, sparse.csr_array) else np.indices(chunk.shape)
    at = np.flatnonzero(~((values >= 0) & (values < np.inf)))[0]
    raise ValueError(
        f"`path` must hold finite float32 numbers of at least 0, got {values.flat[at]:g} in row "
        f"{start + row.flat[at]}, feature {feature.flat[at]} of {path}."
    )


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    # What overflows becomes inf and is refused as such.
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float32)


def _canonical(matrix: Any) -> sparse.csr_array:
    rows: Any = sparse.csr_array(matrix)
    rows.data = _float32(rows.data)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    return rows  # type: ignore[no-any-return]


def _open_npy(path: str) -> NDArray[Any]:
    # A plain view of the mapping: a memmap object is slower to index and hands out memmaps again.
    return np.asarray(np.lib.format.open_memmap(path, mode="r"))


def _read_npz(path: str) -> Any:
    # Given a path, NumPy leaves the file open where it cannot read it.
    with Path(path).open("rb") as file:
        matrix: Any = sparse.load_npz(file)
    # An index out of range would otherwise read whatever memory lies there.
    if matrix.format in {"csr", "csc"}:
        matrix.check_format(full_check=True)
    return matrix


def _read_parquet(path: str) -> NDArray[np.float32]:
    file = pq.ParquetFile(path)
    index_columns = (file.schema_arrow.pandas_metadata or {}).get("index_columns", [])
    for column in file.schema_arrow:
        kind = column.type
        if column.name in index_columns:
            raise ValueError(f"column {column.name!r} is the index of a table.")
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise ValueError(f"column {column.name!r} holds {kind}.")
    matrix = np.empty((file.metadata.num_rows, len(file.schema_arrow)), dtype=np.float32)
    start = 0
    for batch in file.iter_batches():
        for feature, column in enumerate(batch.columns):
            if column.null_count:
                raise ValueError(f"column {batch.schema.names[feature]!r} has missing values.")
            matrix[start : start + len(column), feature] = _float32(column.to_numpy(zero_copy_only=False))
        start += batch.num_rows
    return matrix
