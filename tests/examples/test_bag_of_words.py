import runpy
import sys
from pathlib import Path

import pytest
from scipy import sparse

from polysemantic.data import FeatureFile

SCRIPT = str(Path(__file__).parents[2] / "examples" / "bag_of_words.py")


@pytest.mark.parametrize("n_features", [2, 32])
def test_the_example_builds_a_matrix_that_trains_and_prints_its_true_statistics(
    n_features, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "made" / "words.npz"
    monkeypatch.setattr(sys, "argv", [SCRIPT, "--output", str(path), "--n_features", str(n_features)])
    runpy.run_path(SCRIPT, run_name="__main__")
    matrix = sparse.load_npz(path)
    assert set(matrix.data) == {1}
    assert matrix.sum(axis=1).min() >= 1
    data = FeatureFile(str(path))
    assert data.inputs(0).shape == (1, 256, n_features)
    marginals = data.marginals()[0]
    assert (marginals.diff() <= 0).all()
    printed = capsys.readouterr().out
    assert printed.startswith(f"{path}: {matrix.shape[0]} sentences, {n_features} words\n")
    assert f"features on in a sentence  {matrix.sum() / matrix.shape[0]:.2f}\n" in printed
    assert f"P(word)                    {marginals.max():.4f}" in printed
