import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import polysemantic
from polysemantic.theory import polysemantic_neurons_paper
from tests.support.cli_runs import FIT, GRID, RUNS, scalars

COLUMNS = [
    "instance", "seed", "n_features", "n_hidden", "data", "step", "converged_step", "diverged_step", "loss",
    "reconstruction_error", "coverage", "represented", "carriers", "polysemantic_neurons",
    "polysemantic_neurons_band", "expected_polysemantic_neurons", "collisions_opposite_sign", "collisions_same_sign",
    "collisions_born", "collisions_settled", "collisions_resolved", "fourth_norm", "privilege", "privilege_z",
    "hidden_excess_kurtosis", "participation_ratio", "features_per_neuron", "min_angle", "share_angles_below_90",
    "partition_energy", "partition_concentration", "exposures", "winner_was_largest", "winner_kept_sign",
]  # fmt: skip
OF_THE_END = {
    "converged_step", "diverged_step", "collisions_born", "collisions_settled", "collisions_resolved", "exposures",
    "expected_polysemantic_neurons",
}  # fmt: skip


def test_a_fit_says_its_results_and_where_they_are(run, finished):
    out = run[1]
    assert "3 instances, 8 features, 6 neurons, step 100" in out
    assert "polysemantic" in out
    assert "coverage" in out
    assert f"run directory: {finished[0] / RUNS / 'version_0'}\n" in out


def test_the_tables_have_a_row_for_each_instance_and_the_columns_of_the_design(run):
    results, history = (pd.read_parquet(run[0] / f"{name}.parquet") for name in ("results", "history"))
    assert not set(COLUMNS) - set(results)
    assert results["instance"].tolist() == results["seed"].tolist() == [0, 1, 2]
    assert (results[["n_features", "n_hidden", "step", "exposures"]] == [8, 6, 100, 100]).all(axis=None)
    assert (results["data"] == "OneHot").all()
    assert not set(COLUMNS) - OF_THE_END - set(history)
    assert history["step"].tolist() == [step for step in range(0, 101, 25) for _ in range(3)]
    end = history[history["step"] == 100].reset_index(drop=True)
    pd.testing.assert_frame_equal(end, results[list(end)], check_dtype=False)


def test_weights_are_read_with_numpy_alone_from_the_first_step_to_the_last(run):
    files = sorted((run[0] / "weights").iterdir())
    assert len(files) <= 24
    assert (files[0].name, files[-1].name) == ("step_000000000.npz", "step_000000100.npz")
    for path in files:
        with np.load(path, allow_pickle=False) as file:
            assert path.name == f"step_{int(file['step']):09d}.npz"
            assert set(file.files) == {"W_enc", "instance", "step"}
            assert file["W_enc"].shape == (1, 8, 6)
            assert file["instance"].tolist() == [0]
    last = np.load(files[-1])["W_enc"]
    assert np.array_equal(last[0], polysemantic.load(run[0]).model["W_enc"][0].numpy())


def test_tensorboard_shows_optimiser_steps_intervals_and_theory(run):
    steps = list(range(0, 101, 25))
    curves = {name: scalars(run[0] / name) for name in ("mean", "low", "high", "theory")}
    history = pd.read_parquet(run[0] / "history.parquet").groupby("step").mean(numeric_only=True)
    shown = {tag.partition("/")[2]: points for tag, points in curves["mean"].items()}
    for name in ("polysemantic_neurons", "coverage", "loss"):
        assert [step for step, _ in shown[name]] == steps
        np.testing.assert_allclose([value for _, value in shown[name]], history[name], rtol=1e-6)
    for tag in ("collisions/polysemantic_neurons", "collisions/polysemantic_neurons_band"):
        expected = pytest.approx(polysemantic_neurons_paper(8, 6))
        assert curves["theory"][tag] == [(step, expected) for step in steps]
        for low, mean, high in zip(*(curves[name][tag] for name in ("low", "mean", "high")), strict=True):
            assert low[1] <= mean[1] <= high[1]


def test_a_second_run_takes_the_next_version_and_leaves_the_first_alone(run, run_cli):
    before = {path: path.read_bytes() for path in RUNS.rglob("*") if path.is_file()}
    assert run_cli(*FIT, "--trainer.max_steps=5").status == 0
    assert sorted(path.name for path in RUNS.iterdir()) == ["version_0", "version_1"]
    assert {path: path.read_bytes() for path in before} == before


def test_validate_prints_the_table_and_writes_nothing(run, run_cli):
    before = set(RUNS.rglob("*"))
    answer = run_cli("validate", *FIT[1:], f"--ckpt_path={run[0] / 'checkpoints/last.ckpt'}")
    assert answer.status == 0, answer.err
    table = answer.out[answer.out.index("3 instances") : answer.out.index("mean ±")]
    assert table in run[1]
    assert set(RUNS.rglob("*")) == before


@pytest.mark.parametrize("path", ["last", RUNS / "version_0/checkpoints/last.ckpt"])
def test_test_writes_the_same_end_state_into_a_run_directory_of_its_own(path, run, run_cli):
    answer = run_cli("test", *FIT[1:], f"--ckpt_path={path}")
    assert answer.status == 0, answer.err
    assert f"run directory: {Path.cwd() / RUNS / 'version_1'}\n" in answer.out
    tested = pd.read_parquet(RUNS / "version_1/test.parquet")
    columns = [name for name in COLUMNS if name not in OF_THE_END]
    pd.testing.assert_frame_equal(tested[columns], polysemantic.load(run[0]).results[columns], check_dtype=False)
    assert not (run[0] / "test.parquet").exists()


def test_a_profiler_reports(run_cli, caplog, monkeypatch):
    logger = logging.getLogger("lightning.pytorch.profilers")
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    assert run_cli(*FIT, "--trainer.profiler=simple").status == 0
    assert "FIT Profiler Report" in caplog.text


def test_results_and_table_are_labelled_by_grid_point(run_cli):
    answer = run_cli(*GRID)
    assert answer.status == 0, answer.err
    results = polysemantic.load(RUNS / "version_0").results
    points = [(0.0, 0.1), (0.0, 0.5), (0.01, 0.1), (0.01, 0.5)]
    labels = [(*point, seed) for point in points for seed in (0, 1)]
    assert list(results[["l1", "probability", "seed"]].itertuples(index=False, name=None)) == labels
    assert results["exposures"].tolist() == pytest.approx([20 * 64 * probability for _, probability, _ in labels])
    shown = re.findall(r"^ (l1|probability) = (\S+)", answer.out, re.MULTILINE)
    assert shown == [pair for l1, p in points for pair in (("l1", f"{l1:g}"), ("probability", f"{p:g}"))]
    for l1, p in points:
        assert "collisions/polysemantic_neurons" in scalars(RUNS / f"version_0/l1={l1:g} probability={p:g}/mean")
