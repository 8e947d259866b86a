import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from polysemantic.cli.theory import main as predict
from polysemantic.functional import (
    coverage,
    fourth_norm_null,
    mean_interval,
    participation_ratio,
    participation_ratio_null,
    polysemantic_neurons,
)
from polysemantic.report.charts import Against, Chart
from polysemantic.report.groups import statistics
from polysemantic.report.interactive import payload
from polysemantic.report.reading import read_material
from polysemantic.report.sections import against, dose, frontier
from polysemantic.results.columns import COLUMNS
from polysemantic.results.glossary import MEANINGS
from polysemantic.theory import expected_polysemantic_neurons, paper_lambda, paper_time, sparsity_law
from tests.support.reports import named, sections
from tests.support.small_runs import repeated_sweep, small_one_hot


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


def test_means_and_intervals_are_those_of_the_results(sweep):
    material, charts, _ = sections(sweep)
    rows = material.results.query("l1 == 0.01 and probability == 0.05 and n_hidden == 16")
    mean, half = mean_interval(torch.tensor(rows["polysemantic_neurons"].to_numpy(dtype=float)))
    shown = named(charts["width"], "L1 coefficient = 0.01, probability = 0.05, devices = 2", "mean")
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


@pytest.fixture(scope="module")
def widths(one_hot, tmp_path_factory):
    """A sweep over the number of neurons, too few for eight features the first."""
    return repeated_sweep(tmp_path_factory.mktemp("widths") / "sweep", one_hot, (3, 24, 48), (0.5,))


def test_both_theory_curves_are_drawn_over_the_widths(widths):
    _, charts, made = sections(widths)
    expected = named(charts["width"], "theory, n(n-1)/2(2m-1)", "theory")
    paper = named(charts["width"], "theory, n²/4m", "theory")
    assert (paper.x[0], paper.x[-1]) == (3, 48)
    np.testing.assert_allclose(paper.y, [64 / (4 * m) if m >= 4 else np.nan for m in paper.x])
    np.testing.assert_allclose(expected.y, [expected_polysemantic_neurons(8, m) for m in expected.x])
    (text,) = {text for section in made for text in section.text if text.startswith("Dashed: theory")}
    assert "for 2 of 3 grid points. The others lack: n ≤ 2m." in text


def test_no_theory_is_drawn_beside_inputs_that_it_says_nothing_of(sweep, grid):
    for runs in (sweep, grid):
        _, charts, made = sections(runs)
        drawn = [*charts["against"].charts.values(), *([charts["width"]] if "width" in charts else [])]
        assert not [series for chart in drawn for series in chart.views[""] if series.kind == "theory"]
        assert any(text.startswith("No theory is drawn: it assumes one-hot inputs") for s in made for text in s.text)


def test_theory_stands_beside_any_setting_where_it_holds(grid, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(grid, run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"] = {"class_path": "polysemantic.data.OneHot", "init_args": {"n_features": 10}}
    config["ensemble"]["vary"]["l1"][0] = 0.0
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    material, charts, _ = sections(run)
    assert "width" not in charts
    chart = charts["against"].charts["L1 coefficient"]
    for law, value in (("n²/4m", 100 / 48), ("n(n-1)/2(2m-1)", 90 / 46)):
        # One curve, though there is one of networks for each probability.
        shown = named(chart, f"theory, {law}", "theory")
        assert shown.x == named(chart, "probability = 0.3", "mean").x
        np.testing.assert_allclose(shown.y, [np.nan, value])
    assert f"{len(material.points) // 2} of {len(material.points)} grid points" in " ".join(against(material).text)


def test_the_dose_is_the_expected_number_of_companions(grid):
    _, charts, _ = sections(grid)
    assert charts["dose"].panels[0].x.startswith("expected companions")
    assert named(charts["dose"], "L1 coefficient = 0.01", "mean").x == pytest.approx([9 * 0.05, 9 * 0.3])


def test_a_setting_that_goes_along_with_the_dose_does_not_break_its_curves(grid):
    material = read_material([grid])
    results = material.results.assign(batch_size=material.results["probability"].map({0.05: 64, 0.3: 32}))
    section = dose(dataclasses.replace(material, results=results, axes=[*material.axes, "batch_size"]))
    assert [len(named(section.charts[0], f"L1 coefficient = {l1}", "mean").x) for l1 in (0.001, 0.01)] == [2, 2]
    assert "Batch size changes along with it." in section.text


def test_no_line_joins_true_and_false(grid):
    material = read_material([grid])
    tied = material.results.assign(tied=material.results["l1"] > 0.005)
    section = frontier(dataclasses.replace(material, results=tied, axes=["tied"]))
    assert section.text == ["Each point is a network. Networks of one count stand side by side."]
    assert {(one.name, one.kind) for one in section.charts[0].views[""]} == {
        ("tied = False", "points"),
        ("tied = True", "points"),
    }


def test_the_count_at_a_threshold_stands_beside_the_coverage_at_it(grid):
    material, charts, _ = sections(grid)
    point = material.points[0]
    W = point.snapshots(2)[1][200]["W_enc"]
    counts, shares = charts["thresholds"].views[point.label]
    at = counts.x.index(0.3)
    assert counts.y[at] == polysemantic_neurons(W, 0.3).item()
    assert shares.y[at] == pytest.approx(coverage(W, 0.3).item())
    assert shares.y[0] > shares.y[-1]


def test_the_rotation_null_of_the_fourth_norm_is_that_of_the_weights(grid):
    material, charts, _ = sections(grid)
    point = material.points[1]
    _, snapshots = point.snapshots(3)
    shown = named(charts["basis"], "random rotations, fourth norm (mean over features)", "theory", view=point.label)
    last = fourth_norm_null(snapshots[200]["W_enc"])
    assert shown.x[-1] == 200
    assert shown.y[-1] == pytest.approx(last.mean.item())
    assert shown.high[-1] - shown.y[-1] == pytest.approx(2 * last.variance.sqrt().item())


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


def test_large_matrices_are_reduced_to_the_neurons_that_carry_most(tmp_path):
    run = small_one_hot(tmp_path, n_hidden=200)
    _, charts, made = sections(run)
    (network,) = charts["weights"].networks
    assert network.weights.shape[1:] == (8, 128)
    carried = np.abs(network.weights[-1]) >= 0.5
    assert (np.diff(carried.sum(0)) <= 0).all()
    assert any("At most 128 features and 128 neurons" in text for section in made for text in section.text)


def test_theory_and_the_report_show_the_same_table(widths, capsys):
    assert predict(["--n_features=8", "--n_hidden=3,24,48"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    _, _, made = sections(widths)
    assert made[-1].title == "Predictions"
    assert len(made[-1].tables[0].rows) == 3
    assert all(row in lines for row in made[-1].tables[0].rows)


def test_the_table_of_predictions_leaves_out_what_no_network_here_is_about(grid):
    *_, predictions = sections(grid)[2]
    assert predictions.tables[0].rows == [["10", "12", "-", "-", "1.875"]]
    assert any("4 of 4 grid points here lack what n²/4m assumes: one-hot inputs" in text for text in predictions.text)


@pytest.mark.parametrize("which", ["grid", "one_hot"])
def test_every_chart_and_table_explains_the_columns_that_it_shows(which, request):
    known = {COLUMNS[name].label: COLUMNS[name] for name in MEANINGS}
    _, charts, made = sections(request.getfixturevalue(which))
    shown = [(chart.words, [p.y for p in chart.panels]) for chart in charts.values() if isinstance(chart, Chart)]
    shown += [
        (one.words, [one.label]) for c in charts.values() if isinstance(c, Against) for one in c.measures.values()
    ]
    shown += [(table.words, table.columns) for section in made for table in section.tables]
    explained = [
        (words, known[label]) for words, texts in shown for text in texts if (label := text.partition(" (")[0]) in known
    ]
    assert len(explained) > 20
    for words, column in explained:
        assert f"{column.label}: " in words


def test_the_first_screen_says_how_many_networks_had_converged(grid):
    for section in sections(grid)[2][:2]:
        assert "Converged 0 of 8." in section.text
        assert any(text.startswith("None had converged: counts may still change.") for text in section.text)
    table = sections(grid)[2][1].tables[0]
    assert [row[table.columns.index("converged")] for row in table.rows] == ["0 of 2"] * 4
    assert any("Only 2 seeds" in text for text in sections(grid)[2][1].text)


def test_an_interval_of_a_chart_ends_at_the_number_of_neurons():
    rows = pd.DataFrame({"n_hidden": [3, 3, 12, 12], "polysemantic_neurons": [0, 3, 2, 12]})
    assert statistics(rows, ["n_hidden"], "polysemantic_neurons")["high"].tolist() == [3, 12]
