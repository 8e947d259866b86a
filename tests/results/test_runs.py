import dataclasses
import re
import shutil
import warnings

import pandas as pd
import pytest
import torch
import yaml

import polysemantic
from polysemantic import Ensemble
from polysemantic.data import IndependentBernoulli, OneHot
from polysemantic.results.columns import SETTING, setting_names
from polysemantic.results.runs import load_run
from tests.support.small_runs import make_sweep

OPTIONS = {"n_hidden": 6, "max_steps": 4}


def fit(root, data, **options):
    trainer = {"default_root_dir": str(root), "enable_progress_bar": False}
    return polysemantic.fit(data, trainer=trainer, **OPTIONS | options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A grid, and a run of other inputs, another optimiser and a schedule."""
    root = tmp_path_factory.mktemp("<b>runs")
    grid = fit(
        root,
        IndependentBernoulli(8, 0.1, batch_size=16),
        ensemble=Ensemble(3, {"l1": [0.0, 0.01], "probability": [0.1, 0.3]}),
    )
    other = fit(
        root,
        OneHot(8),
        ensemble=Ensemble(2),
        tied=False,
        clip_norm=1,
        optimizer=lambda p: torch.optim.SGD(p, lr=torch.tensor(0.5), momentum=0.9),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2),
        seed_everything=3,
    )
    return grid, other


@pytest.fixture(scope="module")
def sweep(runs, tmp_path_factory):
    """A sweep of two copies of the grid, with one cell more that has no results."""
    grid, _ = runs
    root = tmp_path_factory.mktemp("sweeps") / "optimisers"
    make_sweep(root, [grid.directory] * 2, [{"model.optimizer": name} for name in ("SGD(lr=0.1)", "SGD(lr=0.2)")])
    for name, path in (("lost", root / "cells/lost"), ("half", root / "cells/half")):
        path.mkdir()
        (path / "cell.yaml").write_text(f"state: {name}")
    return polysemantic.load(root)


def test_the_tables_of_several_runs_can_be_told_apart(runs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = pd.concat([pd.read_parquet(run.directory / "results.parquet") for run in runs], ignore_index=True)
    one, other = (table[table["run"] == run.directory.name] for run in runs)
    assert one.groupby(["l1", "probability"]).size().tolist() == [3] * 4
    for rows, expected in (
        (one, {"tied": True, "optimizer": "AdamW", "lr": 0.001, "weight_decay": 0.01, "batch_size": 16}),
        (one, {"seed_everything": 0, "act": "linear", "noise_std": 0.0, "importance": 1.0, "zipf_exponent": 0.0}),
        (one, {"max_steps": 4, "precision": 32, "init": "normal", "autoencoder": "Autoencoder", "betas": "0.9, 0.999"}),
        (other, {"l1": 0.001, "tied": False, "optimizer": "SGD", "lr": 0.5, "momentum": 0.9, "clip_norm": 1.0}),
        (other, {"lr_scheduler": "StepLR", "step_size": 2, "gamma": 0.1, "batch_size": 8, "seed_everything": 3}),
    ):
        for name, value in expected.items():
            assert rows[name].unique().tolist() == [value], name
    assert other[["probability", "zipf_exponent"]].isna().all(axis=None)
    assert one[["clip_norm", "lr_scheduler", "momentum", "init_from"]].isna().all(axis=None)


def test_a_varied_name_is_no_second_column_and_settings_are_none_of_the_history(runs):
    grid, other = runs
    assert not grid.results.columns.duplicated().any()
    assert list(grid.results)[:4] == ["instance", "seed", "l1", "probability"]
    assert set(grid.history) & setting_names(grid.columns) == {"l1"}
    assert not set(other.history) & setting_names(other.columns)


class Clash(OneHot):
    """Inputs with arguments under names that are taken."""

    can_vary = ("gamma",)

    def __init__(self, n_features: int, gamma: float = 0.25, coverage: float = 0.5, lr: float = 2.0) -> None:
        self.gamma, self.coverage, self.lr = gamma, coverage, lr
        super().__init__(n_features)


def test_a_setting_whose_name_is_taken_has_its_whole_name(tmp_path):
    run = fit(
        tmp_path,
        Clash(8),
        ensemble=Ensemble(1, {"gamma": [0.5]}),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2),
    )
    row = run.results.iloc[0]
    names = ["gamma", "model.lr_scheduler.gamma", "data.coverage", "lr", "data.lr"]
    assert row[names].tolist() == [0.5, 0.1, 0.5, 0.001, 2.0]
    assert row["coverage"] <= 1
    assert all(run.columns[name].group == SETTING for name in names[1:])


def test_a_run_says_what_it_is(runs):
    grid, other = runs
    assert repr(grid) == (
        f"Run({str(grid.directory)!r}: 12 networks = 4 grid points x 3 seeds; IndependentBernoulli, 8 features, "
        "6 neurons; step 4; varied: l1 (2 values), probability (2 values))"
    )
    assert repr(other) == f"Run({str(other.directory)!r}: 2 networks; OneHot, 8 features, 6 neurons; step 4)"


def test_a_notebook_shows_a_table_with_every_text_escaped(runs, sweep):
    for shown, points in ((runs[0], 4), (sweep, 8)):
        html = shown._repr_html_()
        assert html.count("<tr>") == 1 + points
        assert "<th>coverage</th>" in html
        assert "<b>runs" not in html.replace("&lt;b&gt;", "")
    html = runs[0]._repr_html_()
    assert "&lt;b&gt;runs" in html
    assert re.search(r"<td>0.01</td><td>0.3</td><td>3</td><td>0</td><td>", html)


def drawn(figure):
    """Labels of axes and of curves, and the points of each curve's means."""
    figure.canvas.draw()
    panels = [(axis.get_xlabel(), axis.get_ylabel()) for axis in figure.axes]
    means = [bars.lines[0].get_xydata().tolist() for bars in figure.axes[0].containers]
    return panels, [text.get_text() for legend in figure.legends for text in legend.get_texts()], means


def test_a_plot_has_a_measurement_and_coverage_beside_it(runs):
    grid, _ = runs
    panels, curves, means = drawn(grid.plot(x="l1", y="polysemantic_neurons"))
    assert panels == [("L1 coefficient", label) for label in ("polysemantic neurons", "coverage (share of features)")]
    assert curves == ["probability = 0.1", "probability = 0.3"]
    expected = grid.results.groupby(["probability", "l1"])["polysemantic_neurons"].mean()
    assert means == [[[l1, expected[p, l1]] for l1 in (0, 0.01)] for p in (0.1, 0.3)]
    points = sum(len(line.get_xdata()) for line in grid.plot("l1").axes[0].lines if line.get_linestyle() == "None")
    assert points >= len(grid.results)
    assert grid.plot()._repr_png_().startswith(b"\x89PNG")


def test_a_plot_over_training_and_one_against_words(runs):
    grid, other = runs
    figure = other.plot()
    assert drawn(figure)[0][0] == ("training (optimiser steps)", "polysemantic neurons")
    steps = sorted(set(other.history["step"]))
    assert figure.axes[0].lines[0].get_xdata().tolist() == steps
    figure = grid.plot("act", "coverage")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["linear"]
    assert len(figure.axes) == 1


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ("l2", "loss", "`x` must be a column of the results, such as l1, probability, got 'l2'."),
        ("l1", "polysem", "`y` must be a column of the results, got 'polysem'; did you mean polysemantic_neurons?"),
        ("l1", "data", "`y` must be a column of numbers, got 'data', which has none."),
        ("l1", "clip_norm", "`y` must be a column of numbers, got 'clip_norm', which has none."),
    ],
)
def test_a_plot_of_what_is_not_there_is_one_line(x, y, said, runs):
    with pytest.raises(ValueError, match=re.escape(said)):
        runs[0].plot(x, y)


def test_a_sweep_is_its_runs_and_their_tables_together(sweep, runs):
    assert (len(sweep.cells), sweep.unfinished, len(sweep.results)) == (2, 2, 24)
    assert sweep.varied == ["optimizer", "l1", "probability"]
    assert repr(sweep).endswith(
        "2 of 4 runs finished, 24 networks; varied: optimizer (2 values), l1 (2 values), probability (2 values))"
    )
    assert list(sweep.runs) == sweep.cells
    for cell, run in sweep.runs.items():
        pd.testing.assert_frame_equal(run.history, runs[0].history)
        rows = sweep.history[sweep.history["cell"] == cell]
        assert len(rows) == len(run.history)
        assert (
            rows["optimizer"].unique().tolist() == sweep.results.query("cell == @cell")["optimizer"].unique().tolist()
        )
    assert len(sweep.collisions) == 2 * len(runs[0].collisions)
    panels, curves, _ = drawn(sweep.plot(x="optimizer", y="loss"))
    assert panels[0] == ("optimiser", "loss")
    assert len(curves) == 4


def test_a_sweep_without_a_table_of_its_own_is_joined(sweep, tmp_path):
    root = shutil.copytree(sweep.directory, tmp_path / "copy")
    (root / "results.parquet").unlink()
    about = yaml.safe_load((root / "sweep.yaml").read_text())
    names = {cell: rows["optimizer"].iloc[0] for cell, rows in sweep.results.groupby("cell")}
    about["cells"] = {cell: {"model.optimizer": names.get(cell, "SGD(lr=0.3)")} for cell in (*sweep.cells, "lost")}
    (root / "sweep.yaml").write_text(yaml.safe_dump(about))
    again = polysemantic.load(root)
    assert again.unfinished == 1
    columns = ["cell", "instance", "optimizer", "l1", "loss"]
    pd.testing.assert_frame_equal(again.results[columns], sweep.results[columns])


def test_what_is_no_run_is_one_line_that_names_the_nearest(runs, sweep, tmp_path):
    directory = runs[0].directory
    with pytest.raises(FileNotFoundError, match=r"must be that of a finished run .*; did you mean version_1 in it\?"):
        polysemantic.load(directory.parent)
    shutil.copy(sweep.directory / "sweep.yaml", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"must hold a sweep with a finished run, got none in"):
        polysemantic.load(tmp_path)


def test_a_run_of_an_earlier_version_has_no_settings_and_is_read_all_the_same(runs, tmp_path):
    grid, _ = runs
    run = shutil.copytree(grid.directory, tmp_path / "old")
    table = grid.results.drop(columns=list(setting_names(grid.columns) - {"l1"}))
    table.to_parquet(run / "results.parquet", index=False)
    old = load_run(run)
    assert repr(old) == repr(dataclasses.replace(grid, directory=run))
    assert drawn(old.plot())[2] == drawn(grid.plot())[2]
    with pytest.raises(ValueError, match=r"`x` must be a column of the results, .*, got 'lr'\."):
        old.plot("lr")
