from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from polysemantic.data import FeatureFile
from polysemantic.data.feature_matrix import FeatureMatrix
from polysemantic.data.testing import check_data_module

MATRIX = np.array([[0, 2, 0, 1], [1, 0, 0, 1], [0, 0, 0, 3], [0, 1, 0, 1], [0, 0, 0, 0]])


def npy(path, matrix=MATRIX):
    np.save(path / "x.npy", matrix)
    return str(path / "x.npy")


def npz(path, matrix=MATRIX, kind=sparse.csr_array):
    sparse.save_npz(path / "x.npz", kind(matrix))
    return str(path / "x.npz")


def parquet(path, table=MATRIX):
    # Row groups smaller than the table, as in large files.
    pd.DataFrame(table).rename(columns=str).to_parquet(path / "x.parquet", row_group_size=2)
    return str(path / "x.parquet")


def with_explicit_zero_and_duplicate(matrix):
    # Row 0 is 0 2 0 1: its first 0 is stored, and its 2 as 3 and -1.
    made = sparse.csr_array(matrix.astype(float))
    data = np.concatenate([[0, made.data[0] + 1, -1], made.data[1:]])
    indices = np.concatenate([[0, 1, 1], made.indices[1:]])
    return sparse.csr_array((data, indices, made.indptr + 2 * (np.arange(6) > 0)), matrix.shape)


KINDS = ("f2", "f4", "f8", ">f4", "i1", "u8")
GOOD = {
    **{f"npy {kind}": lambda path, kind=kind: npy(path, MATRIX.astype(kind)) for kind in KINDS},
    "npy columns first": lambda path: npy(path, np.asfortranarray(MATRIX)),
    "npz csr": npz,
    "npz csr matrix": lambda path: npz(path, kind=sparse.csr_matrix),
    "npz csc": lambda path: npz(path, kind=sparse.csc_array),
    "npz coo": lambda path: npz(path, kind=sparse.coo_array),
    "npz not canonical": lambda path: npz(path, kind=with_explicit_zero_and_duplicate),
    "parquet": parquet,
    "parquet f4": lambda path: parquet(path, MATRIX.astype("f4")),
}  # fmt: skip


@pytest.fixture(params=GOOD.values(), ids=GOOD)
def good(request, tmp_path):
    return request.param(tmp_path)


def test_inputs_are_rows_of_the_file(good):
    data = FeatureFile(good, batch_size=300)
    assert data.n_features == 4
    drawn = data.inputs(0)[0]
    assert torch.equal(drawn.unique(dim=0), torch.tensor(MATRIX).float().unique(dim=0))


def test_cooccurrence_is_that_of_the_rows(good):
    positive = torch.tensor(MATRIX > 0).double()
    torch.testing.assert_close(FeatureFile(good).cooccurrence()[0], positive.T @ positive / 5, rtol=0, atol=0)


def test_the_contract_holds_for_a_file(good):
    check_data_module(lambda: FeatureFile(good, batch_size=64), n_inputs=2**12)


@pytest.mark.parametrize("write", [npy, npz])
def test_booleans_are_ones_and_zeros(write, tmp_path):
    data = FeatureFile(write(tmp_path, MATRIX > 0))
    assert set(data.inputs(0).unique().tolist()) == {0, 1}
    assert data.marginals().tolist() == [[0.2, 0.4, 0.0, 0.8]]


@pytest.mark.parametrize("write", [npy, npz, parquet])
def test_one_row_of_one_feature_is_enough(write, tmp_path):
    data = FeatureFile(write(tmp_path, np.array([[3]])), batch_size=2)
    assert data.inputs(0).tolist() == [[[3], [3]]]
    assert data.cooccurrence().tolist() == [[[1]]]


@pytest.mark.parametrize("write", [npy, npz])
def test_chunks_of_a_file_add_up_and_a_fault_in_any_is_found(write, tmp_path):
    matrix = (np.random.default_rng(0).random((100, 7)) < 0.3).astype("f4")
    whole = matrix.T.astype(float) @ matrix / 100
    chunked = FeatureMatrix(write(tmp_path, matrix), chunk_numbers=3 * 7)
    np.testing.assert_allclose(chunked.cooccurrence(), whole, rtol=1e-12)
    np.testing.assert_allclose(FeatureFile(write(tmp_path, matrix)).cooccurrence()[0], whole, rtol=1e-12)
    matrix[97, 5] = -2
    with pytest.raises(ValueError, match=r"got -2 in row 97, feature 5 of .*x\.np.\.$"):
        FeatureMatrix(write(tmp_path, matrix), chunk_numbers=3 * 7)


@pytest.mark.parametrize("write", [npy, npz, parquet])
@pytest.mark.parametrize(
    ("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (-1, "-1"), (1e39, "inf")]
)
def test_a_value_that_is_no_activation_is_refused_with_its_place(write, value, shown, tmp_path):
    matrix = MATRIX.astype(float)
    matrix[3, 1] = value
    path = write(tmp_path, matrix)
    with pytest.raises(ValueError, match="must") as refusal:
        FeatureFile(path)
    what = (
        "has missing values" if write is parquet and shown == "nan" else f"got {shown} in row 3, feature 1 of {path}."
    )
    assert what in str(refusal.value)


def test_the_place_of_a_bad_value_does_not_count_zeros_that_are_stored(tmp_path):
    matrix = MATRIX.astype(float)
    matrix[2, 3] = -1
    with pytest.raises(ValueError, match=r"got -1 in row 2, feature 3 of"):
        FeatureFile(npz(tmp_path, matrix, with_explicit_zero_and_duplicate))


BAD = {
    "ragged": (lambda path: npy(path, np.array([[1], [1, 2]], dtype=object)), "Python objects in dtype"),
    "text npy": (lambda path: npy(path, MATRIX.astype(str)), "must hold integers, floats or booleans, got <U21 in"),
    "complex npy": (lambda path: npy(path, MATRIX * 1j), "must hold integers, floats or booleans, got complex128 in"),
    "complex npz": (lambda path: npz(path, MATRIX * 1j), "must hold integers, floats or booleans, got complex128 in"),
    "dates": (lambda path: npy(path, MATRIX.astype("M8[D]")), "must hold integers, floats or booleans, got datetime"),
    "zero rows npy": (lambda path: npy(path, MATRIX[:0]), "must hold rows of features, got shape (0, 4) in"),
    "zero rows npz": (lambda path: npz(path, MATRIX[:0]), "must hold rows of features, got shape (0, 4) in"),
    "zero rows parquet": (lambda path: parquet(path, MATRIX[:0]), "must hold rows of features, got shape (0, 4) in"),
    "zero features": (lambda path: npy(path, MATRIX[:, :0]), "must hold rows of features, got shape (5, 0) in"),
    "one axis": (lambda path: npy(path, MATRIX[0]), "must hold rows of features, got shape (4,) in"),
    "three axes": (lambda path: npy(path, MATRIX[None]), "must hold rows of features, got shape (1, 5, 4) in"),
    "text parquet": (lambda path: parquet(path, {"a": [1], "b": ["x"]}), "column 'b' holds"),
    "lists parquet": (lambda path: parquet(path, {"a": [[1, 2]]}), "column 'a' holds list"),
    "index parquet": (
        lambda path: parquet(path, pd.DataFrame({"a": [1, 2]}, index=[5, 7])),
        "column '__index_level_0__' is the index of a table.",
    ),
    "missing parquet": (
        lambda path: parquet(path, pd.DataFrame({"a": [1, None]}).convert_dtypes()),
        "column 'a' has missing values.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("write", "sentence"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_in_one_line_that_names_it(write, sentence, tmp_path):
    path = write(tmp_path)
    with pytest.raises(ValueError, match="`path` must") as refusal:
        FeatureFile(path)
    assert sentence in str(refusal.value)
    assert path in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("write", [npy, npz, parquet])
def test_a_file_cut_off_anywhere_is_refused_in_one_line(write, tmp_path):
    path = Path(write(tmp_path, MATRIX.astype("f4")))
    content = path.read_bytes()
    for length in [*range(0, len(content) - 1, max(1, len(content) // 60)), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=rf"^`path` must name a readable {path.suffix} matrix, got .*$"):
            FeatureFile(str(path))


@pytest.mark.parametrize("write", [npy, npz, parquet])
def test_a_file_of_noise_is_refused_in_one_line(write, tmp_path):
    path = Path(write(tmp_path))
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    with pytest.raises(ValueError, match=rf"^`path` must name a readable {path.suffix} matrix, got .*$"):
        FeatureFile(str(path))


def test_an_npz_of_dense_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", MATRIX)
    with pytest.raises(ValueError, match=r"^`path` must name a readable \.npz matrix"):
        FeatureFile(str(tmp_path / "x.npz"))


def test_an_npz_whose_indices_point_outside_is_refused(tmp_path):
    matrix = sparse.csr_array(MATRIX)
    matrix.indices[0] = 1000
    sparse.save_npz(tmp_path / "x.npz", matrix)
    with pytest.raises(ValueError, match=r"^`path` must name a readable \.npz matrix"):
        FeatureFile(str(tmp_path / "x.npz"))


def test_a_missing_file_a_folder_and_another_suffix_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^`path` must name an existing file, got .*none\.npy\.$"):
        FeatureFile(str(tmp_path / "none.npy"))
    with pytest.raises(FileNotFoundError, match=r"^`path` must name an existing file"):
        FeatureFile(str(tmp_path))
    (tmp_path / "x.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"^`path` must end in \.npy, \.npz, \.parquet, got .*x\.csv\.$"):
        FeatureFile(str(tmp_path / "x.csv"))


def test_the_arguments_are_plain(tmp_path):
    data = FeatureFile(npy(tmp_path), batch_size=3)
    assert data.arguments() == {"path": str(tmp_path / "x.npy"), "batch_size": 3}
    assert type(data.arguments()["path"]) is str


LARGE = """
import resource, sys
import numpy as np
from polysemantic.data import FeatureFile

used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 2**27, used + 2**27))
try:
    np.ones(2**28, dtype=np.uint8)
except MemoryError:
    data = FeatureFile(sys.argv[1])
    print(data.inputs(0).shape, data.marginals()[0, :2].tolist())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory through /proc and RLIMIT_DATA")
def test_a_dense_file_larger_than_the_memory_allowed_works(tmp_path):
    rows = 2**19
    matrix = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(rows, 128))
    matrix[-1, 0] = 1
    matrix.flush()
    command = [sys.executable, "-c", LARGE, str(tmp_path / "x.npy")]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert run.stdout == f"torch.Size([1, 256, 128]) [{1 / rows}, 0.0]\n"
