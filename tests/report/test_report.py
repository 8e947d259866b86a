import base64
import dataclasses
import functools
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from polysemantic import Ensemble, fit
from polysemantic.__main__ import main as dispatch
from polysemantic.callbacks import CollisionTracker, Measurements
from polysemantic.data import OneHot
from polysemantic.functional import (
    coverage,
    fourth_norm_null,
    mean_interval,
    participation_ratio,
    participation_ratio_null,
    polysemantic_neurons,
)
from polysemantic.report import paper
from polysemantic.report.charts import Chart, Matrices, Panel, Phase, Series, Slides
from polysemantic.report.command import main
from polysemantic.report.groups import in_words, panels, statistics
from polysemantic.report.interactive import payload
from polysemantic.report.labels import MEASURES, PALETTE
from polysemantic.report.reading import read_material
from polysemantic.report.sections import SECTIONS, dose, frontier, width
from polysemantic.theory import expected_polysemantic_neurons, paper_lambda, paper_time, sparsity_law
from tests.support.small_runs import make_sweep, small_grid, small_one_hot

go = pytest.importorskip("plotly.graph_objects")


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return small_grid(tmp_path_factory.mktemp("grid"))


@pytest.fixture(scope="module")
def one_hot(tmp_path_factory):
    return small_one_hot(tmp_path_factory.mktemp("one_hot"))


@pytest.fixture(scope="module")
def sweep(grid, tmp_path_factory):
    wide = small_grid(tmp_path_factory.mktemp("wide"), n_hidden=16)
    root = tmp_path_factory.mktemp("sweeps") / "widths"
    axes = [{"model.n_hidden": m, "trainer.devices": 1 + at} for at, m in enumerate((12, 16))]
    return make_sweep(root, [grid, wide], axes)


@pytest.fixture(scope="module")
def diverged(tmp_path_factory):
    """Runs in which every network diverged: step by step, or so fast that their weights overflowed."""
    rates = {5.0: 0.0, 100.0: 0.9}
    return [
        fit(
            OneHot(8),
            ensemble=Ensemble(3),
            n_hidden=8,
            max_steps=300,
            l1=0.02,
            optimizer=functools.partial(torch.optim.SGD, lr=lr, momentum=momentum),
            measurements=Measurements(every_n_steps=100),
            collisions=CollisionTracker(every_n_steps=50),
            trainer={"default_root_dir": str(tmp_path_factory.mktemp("diverged")), "enable_progress_bar": False},
        ).directory
        for lr, momentum in rates.items()
    ]


@functools.cache
def sections(*paths):
    material = read_material(list(paths))
    made = [section for make in SECTIONS if (section := make(material)) is not None]
    return material, {chart.key: chart for section in made for chart in section.charts}, made


def named(chart, name, kind, panel=0, view=None):
    view = view or next(iter(chart.views))
    (found,) = [s for s in chart.views[view] if s.name == name and s.kind == kind and s.panel == panel]
    return found


def test_one_run_has_every_section_that_its_data_allows(one_hot):
    _, charts, _ = sections(one_hot)
    assert set(charts) == {
        "width",
        "frontier",
        "training",
        "survival",
        "lives",
        "weights",
        "thresholds",
        "basis",
        "sparsification",
    }


def test_a_grid_adds_the_dose_response_and_the_phase_diagram(grid):
    material, charts, _ = sections(grid)
    assert material.axes == ["l1", "probability"]
    assert {"dose", "phase"} <= set(charts)
    assert charts["phase"].axes == ["l1", "probability"]


def test_a_sweep_spans_widths_and_what_varies_within_its_cells(sweep):
    material, charts, _ = sections(sweep)
    assert set(material.axes) == {"n_hidden", "l1", "probability", "devices"}
    assert len(material.points) == 8
    assert len({point.label for point in material.points}) == 8
    assert len(charts["phase"].table) == 8


def test_means_and_intervals_are_those_of_the_results(sweep):
    material, charts, _ = sections(sweep)
    rows = material.results.query("l1 == 0.01 and probability == 0.05 and n_hidden == 16")
    mean, half = mean_interval(torch.tensor(rows["polysemantic_neurons"].to_numpy(dtype=float)))
    shown = named(charts["width"], "l1 = 0.01, probability = 0.05, devices = 2", "mean")
    assert shown.x == [16]
    np.testing.assert_allclose([*shown.low, *shown.y, *shown.high], [max(0, mean - half), mean, mean + half])
    points = named(charts["width"], shown.name, "points")
    assert sorted(points.y) == sorted(rows["polysemantic_neurons"])
    assert all(f"coverage {value:g}" in "".join(points.detail) for value in rows["coverage"])


def test_coverage_has_a_panel_beside_every_count(sweep):
    _, charts, _ = sections(sweep)
    for key in ("width", "dose", "frontier", "training"):
        assert any(panel.y.startswith("coverage") for panel in charts[key].panels)
    assert payload(charts["phase"])["coverage"] == "coverage"


def test_both_theory_curves_are_drawn_over_the_widths(sweep):
    _, charts, _ = sections(sweep)
    expected = named(charts["width"], "theory, n(n-1)/2(2m-1)", "theory")
    paper = named(charts["width"], "theory, n²/4m", "theory")
    assert (paper.x[0], paper.x[-1]) == (12, 16)
    assert paper.y == [100 / (4 * m) for m in paper.x]
    assert expected.y == [expected_polysemantic_neurons(10, m) for m in expected.x]


def test_the_dose_is_the_expected_number_of_companions(grid):
    _, charts, _ = sections(grid)
    assert charts["dose"].panels[0].x.startswith("expected companions")
    assert named(charts["dose"], "l1 = 0.01", "mean").x == pytest.approx([9 * 0.05, 9 * 0.3])


def test_a_setting_that_goes_along_with_the_dose_does_not_break_its_curves(grid):
    material = read_material([grid])
    results = material.results.assign(batch_size=material.results["probability"].map({0.05: 64, 0.3: 32}))
    section = dose(dataclasses.replace(material, results=results, axes=[*material.axes, "batch_size"]))
    assert [len(named(section.charts[0], f"l1 = {l1}", "mean").x) for l1 in (0.001, 0.01)] == [2, 2]
    assert "Batch size changes along with it." in section.text


def test_no_line_joins_true_and_false(grid):
    material = read_material([grid])
    tied = material.results.assign(tied=material.results["l1"] > 0.005)
    section = frontier(dataclasses.replace(material, results=tied, axes=["tied"]))
    assert section.text == ["Each point is a network."]
    assert {(one.name, one.kind) for one in section.charts[0].views[""]} == {
        ("tied = False", "points"),
        ("tied = True", "points"),
    }


def test_the_rotation_null_of_the_fourth_norm_is_that_of_the_weights(grid):
    material, charts, _ = sections(grid)
    point = material.points[1]
    _, snapshots = point.snapshots(3)
    shown = named(charts["basis"], "random rotations, fourth norm (mean over features)", "theory", view=point.label)
    last = fourth_norm_null(snapshots[200]["W_enc"])
    assert shown.x[-1] == 200
    assert shown.y[-1] == pytest.approx(last.mean.item())
    assert shown.high[-1] - shown.y[-1] == pytest.approx(2 * last.variance.sqrt().item())


def test_the_count_at_a_threshold_stands_beside_the_coverage_at_it(grid):
    material, charts, _ = sections(grid)
    point = material.points[0]
    W = point.snapshots(2)[1][200]["W_enc"]
    counts, shares = charts["thresholds"].views[point.label]
    at = counts.x.index(0.3)
    assert counts.y[at] == polysemantic_neurons(W, 0.3).item()
    assert shares.y[at] == pytest.approx(coverage(W, 0.3).item())
    assert shares.y[0] > shares.y[-1]


def test_the_null_of_the_participation_ratio_is_the_mean_over_random_directions():
    W = torch.randn(40_000, 24, dtype=torch.float64)
    W = W / W.norm(dim=1, keepdim=True)
    ratios = participation_ratio(W[:, None], threshold=0.1)
    error = ratios.std().item() * (1 / 40_000 + 1 / 4096) ** 0.5
    assert participation_ratio_null(24) == pytest.approx(ratios.mean().item(), abs=5 * error)
    with pytest.raises(ValueError, match="`n_hidden` must be at least 1, got 0"):
        participation_ratio_null(0)


def test_the_law_of_sparsification_stands_beside_plain_gradient_descent(one_hot, grid):
    _, charts, made = sections(one_hot)
    law = named(charts["sparsification"], "theory, neurons per feature m'", "theory")
    times = [paper_time(0.5, int(step), 8) for step in law.x]
    np.testing.assert_allclose(law.y, sparsity_law(np.array(times), 24, paper_lambda(0.02)))
    assert any("times the law" in text for section in made for text in section.text)
    other = sections(grid)[1]["sparsification"]
    assert not [series for series in next(iter(other.views.values())) if series.kind == "theory"]


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("model", {"tied": False}),
        ("model", {"noise_std": 0.1}),
        ("model", {"bias": True}),
        ("model", {"clip_norm": 1.0}),
        ("data", {"magnitude": "uniform"}),
    ],
)
def test_no_law_of_sparsification_stands_where_none_holds(part, values, one_hot, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(one_hot, run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    (config["data"]["init_args"] if part == "data" else config[part]).update(values)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    _, charts, made = sections(run)
    assert not [s for view in charts["sparsification"].views.values() for s in view if s.kind == "theory"]
    assert any("are not drawn" in text for section in made for text in section.text)


@pytest.mark.parametrize(("which", "sound"), [([0], False), ([1], False), ([0, 1], True)])
def test_a_report_comes_out_and_says_what_diverged(which, sound, diverged, one_hot, tmp_path):
    runs = [*(diverged[at] for at in which), *([one_hot] if sound else [])]
    page, figures = tmp_path / "report.html", tmp_path / "figures"
    # Figures take longer than all else; without them where they would be the same.
    assert main([*map(str, runs), f"--output={page}", *([] if sound else [f"--figures={figures}"])]) == 0
    networks = 3 * len(which)
    assert f"{networks} networks diverged and are left out of these numbers: " in page.read_text()
    assert page.read_text().count("(3 of 3)") == len(which)
    assert "coverage nan" not in page.read_text()
    assert sound or any(figures.iterdir())


def test_collisions_and_phases_leave_out_what_diverged_and_say_so(grid, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(grid, run)
    results = pd.read_parquet(run / "results.parquet")
    results.loc[0, "diverged_step"] = 10
    results.loc[0, [name for name in MEASURES if name in results]] = None
    results.to_parquet(run / "results.parquet")
    lives = pd.read_parquet(run / "collisions.parquet").query("instance == 1")
    material, charts, made = sections(run)
    assert named(charts["survival"], "all", "line").detail[0].startswith(f"{len(lives)} lives")
    (table,) = next(section for section in made if section.title.startswith("Survival")).tables
    assert table.rows[0][table.columns.index("number")] == str(len(lives))
    assert next(iter(charts["lives"].views)).startswith(f"{material.points[0].label}, seed 1")
    assert material.points[0].label not in charts["thresholds"].views
    assert charts["phase"].table["networks"].tolist() == [1, 2, 2, 2]
    notes = [text for section in made for text in section.text if text == "1 of 8 networks diverged and are left out."]
    assert len(notes) == 2


def test_grid_points_keep_their_places_where_all_networks_diverged(grid, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(grid, run)
    results = pd.read_parquet(run / "results.parquet")
    results.loc[:1, [name for name in MEASURES if name in results]] = None
    results.assign(diverged_step=[10, 10, *[None] * 6]).to_parquet(run / "results.parquet")
    chart = sections(run)[1]["width"]
    names = ["0.001, 0.05", "0.001, 0.3", "0.01, 0.05", "0.01, 0.3"]
    axes = [axis for name, axis in payload(chart)["layout"].items() if "xaxis" in name]
    assert [(axis["categoryarray"], axis["range"]) for axis in axes] == [(names, [-0.5, 3.5])] * 2
    for panel in printed(chart, monkeypatch).axes:
        assert [text.get_text() for text in panel.get_xticklabels()] == names
        assert panel.get_xlim() == (-0.5, 3.5)


def test_no_legend_names_what_diverged_altogether(sweep):
    material = read_material([sweep])
    lost = material.results["probability"] == 0.05
    material.results.loc[lost, [name for name in MEASURES if name in material.results]] = None
    for chart in [chart for make in (width, frontier) for chart in make(material).charts]:
        names = [series.name for series in chart.views[""] if series.kind != "theory"]
        assert names
        assert all("probability = 0.3" in name for name in names)


def test_grid_points_stand_in_the_order_of_their_values(sweep):
    cells = sorted((sweep / "cells").iterdir())
    for paths in (cells, cells[::-1]):
        material = read_material(paths)
        assert [point.label for point in material.points] == [
            f"n_hidden = {m}, l1 = {l1}, probability = {probability}"
            for m in (12, 16)
            for l1 in (0.001, 0.01)
            for probability in (0.05, 0.3)
        ]


def test_cells_of_a_sweep_are_named_by_their_settings(sweep):
    material, charts, (what_was_run, *_) = sections(sweep)
    names = ["n_hidden = 12, devices = 1", "n_hidden = 16, devices = 2"]
    assert [row[0] for row in what_was_run.tables[0].rows] == names
    assert [*what_was_run.files] == [f"Sweep {sweep.name}", *(f"Configuration of {name}" for name in names)]
    for row, source in zip(what_was_run.tables[0].rows, material.sources, strict=True):
        assert str(source.directory) in row[-1]
        assert f"devices = {source.results['devices'].iloc[0]}" in row[0]
    for name in names:
        told = [text for one in charts["width"].views[""] if one.kind == "points" for text in one.detail]
        assert any(text.startswith(f"{name}, seed 0") for text in told)


def test_cells_of_equal_settings_keep_their_directories_name(sweep, grid, tmp_path):
    for cell in (sweep / "cells").iterdir():
        shutil.copytree(cell, tmp_path / "cells" / cell.name)
    twice = [shutil.copytree(grid, tmp_path / "cells" / f"copy{at}") for at in range(2)]
    run = shutil.copytree(grid, tmp_path / "by_hand")
    named = read_material([*(tmp_path / "cells").iterdir(), run]).run_names
    assert named["by_hand"] == "by_hand"
    assert {named[copy.name] for copy in twice} == {"n_hidden = 12 (copy0)", "n_hidden = 12 (copy1)"}
    assert list(named.values()).count("n_hidden = 16") == 1


def test_an_optimiser_with_its_arguments_is_one_axis(grid, tmp_path):
    classes = {"SGD(lr=0.1)": ("SGD", 0.1), "SGD(lr=0.2)": ("SGD", 0.2), "Adam(lr=0.1)": ("Adam", 0.1)}
    sweep = make_sweep(tmp_path / "optimisers", [grid] * 3, [{"model.optimizer": name} for name in classes])
    for path in (sweep / "cells").iterdir():
        table = pd.read_parquet(sweep / "results.parquet")
        name, rate = classes[table[table["cell"] == path.name]["optimizer"].iloc[0]]
        config = yaml.safe_load((path / "config.yaml").read_text())
        config["model"]["optimizer"] = {"class_path": f"torch.optim.{name}", "init_args": {"lr": rate}}
        (path / "config.yaml").write_text(yaml.safe_dump(config))
    material = read_material([sweep])
    assert set(material.axes) == {"optimizer", "l1", "probability"}
    assert list(material.run_names.values()) == [f"optimizer = {name}" for name in sorted(classes)]
    # Without the sweep's own table, settings are told one by one.
    assert {"optimizer", "lr"} < set(read_material(list((sweep / "cells").iterdir())).axes)


def test_sizes_are_listed_as_people_do(sweep):
    assert read_material([sweep]).description.endswith("10 features, 12 and 16 neurons, 16 networks")


def test_lives_stand_in_the_order_of_their_neurons(grid):
    for view in sections(grid)[1]["lives"].views.values():
        places = list(dict.fromkeys(view[0].y))
        neurons = [int(place.partition(":")[0]) for place in places]
        assert neurons == sorted(neurons)
        assert {place for series in view for place in series.y if place} == set(places)


def test_weights_in_print_name_their_network(grid, monkeypatch):
    chart = sections(grid)[1]["weights"]
    assert printed(chart, monkeypatch).get_suptitle() == chart.networks[0].name


def test_means_name_the_networks_that_have_one():
    rows = pd.DataFrame({"l1": [0, 0, 1, 1], "loss": [1.0, np.nan, np.nan, np.nan]})
    assert statistics(rows, ["l1"], "loss")["networks"].tolist() == [1, 0]


def test_error_bars_end_where_the_interval_does():
    rows = pd.DataFrame({"l1": [0, 0, 1, 1], "coverage": [1.0, 0.8, 0.5, 0.52]})
    means = statistics(rows, ["l1"], "coverage")
    chart = Chart("width", "", [Panel("x", "y")], {"": [_mean_of(means)]}, means)
    (trace,) = payload(chart)["views"][0]["traces"]
    assert trace["text"] == ["0 to 1", "0.382938 to 0.637062"]
    errors = trace["error_y"]
    assert (errors["symmetric"], errors["array"][0], errors["arrayminus"][0]) == (False, 0.1, 0.9)


def _mean_of(means):
    return Series("", "mean", [0, 1], *(means[name].tolist() for name in ("mean", "low", "high")))


def test_weights_that_overflowed_are_blank():
    values = np.array([[[np.inf, 2.0], [np.nan, -1.0]]])
    (network,) = payload(Slides("weights", "", [Matrices("", [0], [0, 1], [0, 1], values, values)]))["networks"]
    assert network["weights"]["largest"] == 2
    steps = np.frombuffer(base64.b64decode(network["weights"]["data"]), "<i2")
    assert steps.tolist() == [-32768, 32767, -32768, -16384]


def test_grid_points_of_one_width_stand_beside_one_another_with_theory(grid):
    material, charts, _ = sections(grid)
    chart = charts["width"]
    means = named(chart, "all networks", "mean")
    assert means.x == ["0.001, 0.05", "0.001, 0.3", "0.01, 0.05", "0.01, 0.3"]
    expected = material.results.groupby(["l1", "probability"])["polysemantic_neurons"].mean()
    assert means.y == expected.tolist()
    assert set(named(chart, "theory, n²/4m", "theory").y) == {100 / 48}
    assert chart.panels[0].x == "L1 coefficient, probability"
    assert [axis["type"] for name, axis in payload(chart)["layout"].items() if "xaxis" in name] == ["category"] * 2


def test_logarithmic_axes_have_ticks_in_plain_numbers(one_hot):
    layout = payload(sections(one_hot)[1]["sparsification"])["layout"]
    axes = [layout[name] for name in ("xaxis", "yaxis", "xaxis2", "yaxis2")]
    assert [(axis["type"], axis["tickformat"]) for axis in axes] == [("log", "~g")] * 4


def test_shares_have_the_same_axis_in_every_chart(sweep):
    panels = [panel for chart in sections(sweep)[1].values() for panel in getattr(chart, "panels", [])]
    shares = [panel.limits for panel in panels if "share" in panel.y]
    assert len(shares) > 4
    assert len(set(shares)) == 1


@pytest.mark.parametrize("kind", ["points", "mean", "band", "line"])
@pytest.mark.parametrize("top", [0, 0.2, 80])
def test_counts_begin_at_zero(kind, top, monkeypatch):
    columns = ["collisions_same_sign", "loss"]
    steps, values = [0, 100, 200], [0.9 * top, 0.9 * top, top]
    series = [Series("", kind, steps, values, values, values, panel=panel) for panel in range(2)]
    chart = Chart("", "", panels("step", columns), {"": series}, pd.DataFrame())
    layout = payload(chart)["layout"]
    assert [layout[axis]["rangemode"] for axis in ("yaxis", "yaxis2")] == ["tozero", "normal"]
    counts, loss = printed(chart, monkeypatch).axes
    low, high = counts.get_ylim()
    assert low == -0.02 * high
    assert high == 1 if top == 0 else top < high < 1.2 * top
    assert loss.get_ylim()[0] != 0


def test_counts_across_begin_at_zero(monkeypatch):
    series = [Series("", "points", [0, 0], [0.1, 0.2])]
    chart = Chart("", "", panels("polysemantic_neurons", ["loss"]), {"": series}, pd.DataFrame())
    assert payload(chart)["layout"]["xaxis"]["rangemode"] == "tozero"
    assert printed(chart, monkeypatch).axes[0].get_xlim() == (-0.02, 1)


def test_a_phase_of_zeros_has_a_scale_from_zero(monkeypatch):
    table = pd.DataFrame({"l1": [0.0, 1.0], "n_hidden": [1, 1], "collisions_same_sign": [0.0, np.nan], "networks": 2})
    chart = Phase("", "", table, ["l1", "n_hidden"], ["collisions_same_sign"])
    (image,) = printed(chart, monkeypatch).axes[0].images
    assert image.get_clim() == (0, 1)


def test_a_phase_of_shares_has_a_scale_from_zero_to_one(monkeypatch):
    table = pd.DataFrame({"l1": [0.0, 1.0], "n_hidden": [1, 1], "represented": [1.0, 1.0], "networks": 2})
    chart = Phase("", "", table, ["l1", "n_hidden"], ["represented"])
    assert payload(chart)["shares"] == ["represented"]
    (image,) = printed(chart, monkeypatch).axes[0].images
    assert image.get_clim() == (0, 1)


def test_curves_on_top_of_one_another_differ_in_pattern(grid):
    view = next(iter(sections(grid)[1]["survival"].views.values()))
    assert len({series.dash for series in view}) == len(view) > 2


def test_survival_is_told_beside_coverage(grid):
    material, charts, made = sections(grid)
    coverage = material.results.query("point == 0")["coverage"].mean()
    told = named(charts["survival"], "all", "line").detail[0]
    assert told.endswith(f"coverage {coverage:.3g}")
    (table,) = next(section for section in made if section.title.startswith("Survival")).tables
    assert table.rows[0][table.columns.index("coverage")] == f"{coverage:.3g}"


def test_survival_counts_every_life_of_a_kind(grid):
    material, charts, _ = sections(grid)
    lives = material.points[0].table("collisions")
    every = named(charts["survival"], "all", "line")
    assert every.detail[0].startswith(f"{len(lives)} lives")
    assert (every.x[0], every.y[0]) == (0, 1)
    assert (np.diff(every.y) <= 0).all()
    same = (lives["kind_at_birth"] == "same_sign").sum()
    assert named(charts["survival"], "all, same sign at birth", "line").detail[0].startswith(f"{same} lives")


def test_a_collisions_life_tells_who_shared_which_neuron_when(grid):
    material, charts, _ = sections(grid)
    life = material.points[0].table("collisions").query("instance == 0").iloc[0]
    view = next(iter(charts["lives"].views.values()))
    words = [text for series in view for text in series.detail]
    story = f"features {life.feature_i} and {life.feature_j} on neuron {life.neuron}, born at step {life.born_step}"
    assert any(text.startswith(story) for text in words)
    assert f"{life.neuron}: {life.feature_i}, {life.feature_j}" in [y for series in view for y in series.y]
    resolved = material.points[0].table("collisions").query("instance == 0 and resolved_step.notna()")
    marks = [x for series in view if (series.name, series.kind) == ("resolved", "mark") for x in series.x]
    assert sorted(marks) == sorted(resolved["resolved_step"])


def test_large_matrices_are_reduced_to_the_neurons_that_carry_most(tmp_path):
    run = small_one_hot(tmp_path, n_hidden=200)
    _, charts, made = sections(run)
    (network,) = charts["weights"].networks
    assert network.weights.shape[1:] == (8, 128)
    carried = np.abs(network.weights[-1]) >= 0.5
    assert (np.diff(carried.sum(0)) <= 0).all()
    assert any("At most 128 features and 128 neurons" in text for section in made for text in section.text)


def test_every_chart_is_one_that_plotly_accepts_and_downloads_all_it_draws(sweep):
    for chart in sections(sweep)[1].values():
        data = json.loads(json.dumps(payload(chart), allow_nan=False))
        if data["kind"] == "chart":
            for view in data["views"]:
                go.Figure(view["traces"], data["layout"])
            lengths = {len(values) for values in data["table"]["values"]}
            assert len(lengths) == 1
            assert lengths.pop() > 0


def test_the_command_writes_the_page_and_figures_for_print(sweep, tmp_path, monkeypatch, capsys):
    page, figures = tmp_path / "out" / "report.html", tmp_path / "figures"
    monkeypatch.setattr(sys, "argv", ["polysemantic", "report", str(sweep), f"--output={page}", f"--figures={figures}"])
    assert dispatch() == 0
    assert capsys.readouterr() == ("", "")
    text = page.read_text()
    assert "python -m polysemantic sweep --collect" in text
    assert f"torch {torch.__version__}" in text
    charts = set(sections(sweep)[1])
    assert {path.name for path in figures.iterdir()} == {f"{key}.{kind}" for key in charts for kind in ("pdf", "png")}
    for key in charts:
        assert_for_print((figures / f"{key}.pdf").read_bytes(), (figures / f"{key}.png").read_bytes())


def assert_for_print(pdf, png):
    """A column wide, with text that stays text."""
    assert pdf.startswith(b"%PDF")
    assert b"/CIDFontType2" in pdf
    assert b"/Type3" not in pdf
    assert float(re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", pdf)[1]) == pytest.approx(72 * 3.35, abs=0.5)
    assert png.startswith(b"\x89PNG")


def printed(chart, monkeypatch):
    """The figure of a chart, drawn."""
    saved = []
    monkeypatch.setattr(paper, "_saved", lambda figure, kind: saved.append(figure) or b"")
    paper.draw(chart)
    return saved[0]


@pytest.mark.parametrize("name", ["l1 = {}", f"{'optimizer = SGD, ' * 6}l1 = {{}}", "W" * 99 + " {}"])
@pytest.mark.parametrize("kind", ["points", "mean"])
def test_a_legend_in_print_is_whole(name, kind, monkeypatch):
    names = [name.format(at) for at in range(40)]
    series = [Series(one, kind, [1], [1], [0], [2]) for one in names]
    figure = printed(Chart("width", "", [Panel("x", "y")], {"": series}, pd.DataFrame()), monkeypatch)
    (legend,) = figure.legends
    box, axes = legend.get_window_extent(), figure.axes[0].get_tightbbox()
    assert ["".join(text.get_text().split()) for text in legend.get_texts()] == ["".join(one.split()) for one in names]
    assert (box.x0 >= 0) & (box.x1 <= figure.bbox.width) & (box.y0 >= 0) & (box.y1 <= axes.y0)
    assert figure.axes[0].get_position().height * figure.get_figheight() > 1


def test_a_legend_of_many_names_makes_a_chart_taller():
    def height(names):
        series = [Series(f"l1 = 0.001, n_hidden = {at}", "points", [1], [1]) for at in range(names)]
        return payload(Chart("width", "", [Panel("x", "y")], {"": series}, pd.DataFrame()))["layout"]["height"]

    assert height(2) == 440 < height(12) < height(24) < height(200) == height(400)


def test_several_runs_differ_along_what_their_configurations_say(grid, one_hot):
    material, charts, _ = sections(grid, one_hot)
    assert {"data", "n_features", "n_hidden", "l1", "optimizer", "max_steps"} <= set(material.axes)
    assert set(material.results["l1"]) == {0.001, 0.01, 0.02}
    assert "dose" in charts


def test_a_run_under_two_names_is_one_run(grid, sweep, monkeypatch):
    monkeypatch.chdir(grid.parent)
    assert len(read_material([grid, Path(grid.name)]).results) == 8
    cells = sorted((sweep / "cells").iterdir())
    for paths in ([sweep, cells[0]], [cells[0], sweep], [sweep, sweep / "cells" / ".."]):
        material = read_material(paths)
        assert len(material.results) == 16
        assert "devices" in material.axes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--output=x.html"], "`report` must be given a finished run or a sweep, got 'nowhere'"),
        (["nowhere"], "missing: --output"),
        (["nowhere", "--ouput=x.html"], "unknown option --ouput; did you mean --output?"),
        (["nowhere", "--output", "x.html", "--figure=y"], "unknown option --figure; did you mean --figures?"),
    ],
)
def test_bad_input_is_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(arguments)
    except SystemExit as exited:
        status = exited.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize(
    ("rates", "shown"),
    [
        ([0.001, 10**-2.5], ["0.001", "0.00316"]),
        ([0.1234567, 0.1234568], ["0.1234567", "0.1234568"]),
    ],
)
def test_grid_points_are_told_apart_in_few_digits(rates, shown, grid, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(grid, run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    results = pd.read_parquet(run / "results.parquet")
    config["ensemble"]["vary"]["l1"] = rates
    results["l1"] = np.repeat(rates, 4)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    results.to_parquet(run / "results.parquet")
    material, charts, made = sections(run)
    labels = [f"l1 = {rate}, probability = {probability}" for rate in shown for probability in (0.05, 0.3)]
    assert [point.label for point in material.points] == labels == list(charts["training"].views)
    assert [row[0] for row in made[1].tables[0].rows] == [shown[0], shown[0], shown[1], shown[1]]


def test_unfinished_cells_are_counted(grid, tmp_path):
    sweep = make_sweep(tmp_path / "half", [grid], [{"model.n_hidden": 12}])
    (sweep / "cells" / "failed").mkdir()
    material, _, made = sections(sweep)
    assert material.unfinished == 1
    assert any("1 cells have no results" in text for text in made[0].text)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((0.82421, 0.776, 0.8725), "0.824 ± 0.048"),
        ((12.62, 10.4, 14.8), "12.6 ± 2.2"),
        ((0.75, 0.75, 0.75), "0.75"),
        ((1034.2, 1000, 1068.4), "1034 ± 34"),
        ((0.002986, 0.00292, 0.003052), "0.002986 ± 6.6e-05"),
        ((0.000005, 0, 0.000015), "5e-06 [0, 1.5e-05]"),
        ((0.5, 0, 6.9), "0.5 [0, 6.9]"),
        ((0.973, 0.91, 1), "0.973 [0.910, 1]"),
        ((1034.2, 0, 2608.4), "1034 [0, 2608]"),
        ((float("nan"), 0, 1), "-"),
    ],
)
def test_a_mean_has_the_digits_of_its_interval(ends, words):
    assert in_words(*ends) == words


def test_the_palette_is_distinct_and_every_measure_has_a_label():
    assert len(set(PALETTE)) == len(PALETTE)
    assert {"polysemantic_neurons", "coverage", "loss"} <= set(MEASURES)


def test_theory_prints_the_predictions(monkeypatch, capsys):
    argv = ["polysemantic", "theory", "--n_features", "256", "--n_hidden", "256,512,100"]
    monkeypatch.setattr(sys, "argv", argv)
    assert dispatch() == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["256", "256", "64", "63.8748", "63.75"] in lines
    assert ["256", "512", "32", "31.9062", "31.875"] in lines
    assert ["256", "100", "163.84", "-", "163.2"] in lines


def test_theory_and_the_report_show_the_same_table(sweep, capsys):
    from polysemantic.cli.theory import main as predict

    assert predict(["--n_features=10", "--n_hidden=12,16"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    _, _, made = sections(sweep)
    assert made[-1].title == "Predictions"
    assert len(made[-1].tables[0].rows) == 2
    assert all(row in lines for row in made[-1].tables[0].rows)


@pytest.mark.parametrize("value", ["0", "1.5", "x", ""])
def test_theory_refuses_what_is_no_size(value, capsys):
    from polysemantic.cli.theory import main as predict

    with pytest.raises(SystemExit, match="2"):
        predict([f"--n_features={value}", "--n_hidden=4"])
    expected = f"error: `n_features` must be whole numbers of at least 1 between commas, got {value!r}\n"
    assert capsys.readouterr() == ("", expected)


def test_a_table_without_any_life_of_collisions_is_no_section(one_hot, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(one_hot, run)
    path = run / "collisions.parquet"
    pd.read_parquet(path).iloc[:0].to_parquet(path)
    assert not {"survival", "lives"} & set(sections(run)[1])
