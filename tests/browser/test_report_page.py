import shutil
import time

import numpy as np
import pandas as pd
import pytest
import yaml

from polysemantic.report.command import main
from polysemantic.report.labels import label
from polysemantic.report.reading import read_material
from tests.support.artifacts import ARTIFACTS
from tests.support.report_page import downloaded, drawn, hovered, opened, pixels
from tests.support.small_runs import make_sweep, repeated_sweep, small_grid, small_one_hot

HOSTILE = """<script>alert(1)</script><img src=x onerror=alert(2)>'"&"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    return small_grid(tmp_path_factory.mktemp("grid"))


@pytest.fixture(scope="module")
def report(grid, tmp_path_factory):
    """The report of a small sweep over widths."""
    root = tmp_path_factory.mktemp("report")
    wide = small_grid(root / "wide", n_hidden=16)
    sweep = make_sweep(root / "widths", [grid, wide], [{"model.n_hidden": 12}, {"model.n_hidden": 16}])
    assert main([str(sweep), f"--output={root / 'report.html'}"]) == 0
    return sweep, root / "report.html"


@pytest.fixture
def page(shared_page):
    """A page that stays open between tests, as a report takes seconds to load; they change different charts."""
    return shared_page


def test_every_chart_is_drawn_with_its_data(page, report):
    opened(page, report[1])
    keys = page.eval_on_selector_all("figure.chart", "figures => figures.map(figure => figure.id)")
    expected = [
        "against",
        "width",
        "dose",
        "phase",
        "frontier",
        "training",
        "survival",
        "lives",
        "weights",
        "thresholds",
        "basis",
    ]
    assert keys == [*expected, "sparsification"]
    for key in keys:
        drawn_parts = page.locator(f"#{key} .plots path, #{key} .plots .heatmaplayer image").count()
        assert drawn_parts > 5, key
    assert page.locator("h1").text_content() == page.title()


def test_hovering_tells_the_numbers_and_coverage(page, report):
    opened(page, report[1], "width")
    rows = read_material([report[0]]).results
    chart = page.evaluate(
        """() => { const plot = document.querySelector('#width .js-plotly-plot');
                   const trace = plot.data.find(one => one.error_y && one.yaxis === 'y');
                   const axes = plot._fullLayout, box = plot.getBoundingClientRect();
                   plot.scrollIntoView();
                   const to = (axis, value) => axis._offset + axis.l2p(axis.d2l(value));
                   return { name: trace.name, x: trace.customdata[0][0], y: trace.y[0],
                            left: to(axes.xaxis, trace.x[0]), top: to(axes.yaxis, trace.y[0]) }; }"""
    )
    box = page.locator("#width .js-plotly-plot").bounding_box()
    page.mouse.move(box["x"] + chart["left"] - 4, box["y"] + chart["top"])
    page.mouse.move(box["x"] + chart["left"], box["y"] + chart["top"], steps=3)
    page.locator("#width .hoverlayer .hovertext").first.wait_for()
    told = " ".join(page.locator("#width .hoverlayer .hovertext").all_text_contents())
    assert f"neurons m: {chart['x']:g}" in told
    assert f"polysemantic neurons: {chart['y']:.5g}" in told
    assert "95 % interval" in told or "coverage" in told
    assert chart["y"] in set(rows.groupby(["n_hidden", "l1", "probability"])["polysemantic_neurons"].mean())


def test_the_slider_moves_through_training(page, report):
    opened(page, report[1], "weights")
    steps = page.locator("#weights input[type=range]")
    point = read_material([report[0]]).points[0]
    _, snapshots = point.snapshots(16)
    last, seen = drawn(page, "#weights .weights"), pixels(page, "#weights .weights")
    final = snapshots[200]["W_enc"].numpy()
    assert page.locator("#weights output").text_content() == "200"
    np.testing.assert_allclose(np.sort(last, axis=None), np.sort(final, axis=None), atol=5e-5)
    steps.evaluate("slider => { slider.value = 0; slider.dispatchEvent(new Event('input')); }")
    page.wait_for_function(
        "before => document.querySelector('#weights .weights').data[0].z[0][0] !== before", arg=last[0, 0]
    )
    first = drawn(page, "#weights .weights")
    assert page.locator("#weights output").text_content() == "0"
    np.testing.assert_allclose(np.sort(first, axis=None), np.sort(snapshots[0]["W_enc"].numpy(), axis=None), atol=5e-5)
    assert np.abs(pixels(page, "#weights .weights") - seen).max(-1).astype(bool).mean() > 0.05
    products = drawn(page, "#weights .products")
    np.testing.assert_allclose(products, first @ first.T, atol=2e-4)
    told = hovered(page, "#weights .weights .heatmaplayer")
    assert all(word in told for word in ("feature", "neuron", "W "))


def test_the_phase_diagram_takes_any_two_axes_and_any_measurement(page, report):
    opened(page, report[1], "phase")
    rows = read_material([report[0]]).results
    names = page.locator("#phase select").first.locator("option").all_text_contents()
    across, up, what = (page.locator("#phase select").nth(at) for at in range(3))
    before = pixels(page, "#phase .plots")
    across.select_option(label="probability")
    up.select_option(label="neurons m")
    what.select_option(label="coverage (share of features)")
    expected = rows.pivot_table(index="n_hidden", columns="probability", values="coverage").to_numpy()
    np.testing.assert_allclose(drawn(page, "#phase .js-plotly-plot"), expected, rtol=1e-5)
    assert np.abs(pixels(page, "#phase .plots") - before).max() > 50
    assert {"probability", "neurons m", "L1 coefficient"} == set(names)
    assert page.locator("#phase .plots .coverage").is_hidden()
    what.select_option(label="polysemantic neurons")
    page.locator("#phase .plots .coverage .heatmaplayer image").wait_for()
    np.testing.assert_allclose(drawn(page, "#phase .coverage"), expected, rtol=1e-5)
    what.select_option(label="coverage (share of features)")
    told = hovered(page, "#phase .heatmaplayer", (0.25, 0.75))
    assert "4 networks, coverage" in told
    assert f"coverage (share of features): {expected[0, 0]:.5g}" in told


AGAINST = """() => document.querySelector('#against .js-plotly-plot').data
    .filter((trace) => trace.error_y && trace.yaxis === 'y')
    .map((trace) => [trace.name, trace.y, trace.customdata.map(([x]) => x)])"""


def test_any_measurement_is_drawn_against_any_setting(page, report):
    opened(page, report[1], "against")
    rows = read_material([report[0]]).results
    across, up, l1 = (page.locator("#against select").nth(at) for at in (0, 1, 3))
    assert across.locator("option").all_text_contents() == ["neurons m", "L1 coefficient", "probability"]
    across.select_option(label="probability")
    up.select_option(label="loss")
    l1.select_option(label="0.01")
    page.wait_for_function(f"() => ({AGAINST})().length === 2")
    found = {name: (y, x) for name, y, x in page.evaluate(AGAINST)}
    for m in (12, 16):
        y, x = found[f"neurons m = {m}, L1 coefficient = 0.01"]
        means = rows.query("n_hidden == @m and l1 == 0.01").groupby("probability")["loss"].mean()
        assert x == list(means.index)
        np.testing.assert_allclose(y, means, rtol=1e-5)
    table = pd.DataFrame(downloaded(page, "against"))
    assert set(table["measurement"]) == {"loss"}
    expected = rows.groupby(["n_hidden", "l1", "probability"])["loss"].mean()
    np.testing.assert_allclose(table["mean"].astype(float), expected, rtol=1e-5)
    # In a narrow window the panels stand below one another, and nothing is wider than the window.
    page.set_viewport_size({"width": 420, "height": 900})
    page.wait_for_function("() => document.querySelector('#against .js-plotly-plot').layout.xaxis.domain[1] === 1")
    assert page.evaluate("() => document.documentElement.scrollWidth") == 420


def test_choosing_networks_draws_theirs(page, report):
    opened(page, report[1], "training")
    select = page.locator("#training select")
    assert select.locator("option").count() == 8
    first = page.evaluate("() => document.querySelector('#training .js-plotly-plot').data[1].y")
    select.select_option(index=5)
    page.wait_for_function(
        "first => String(document.querySelector('#training .js-plotly-plot').data[1].y) !== String(first)", arg=first
    )
    point = read_material([report[0]]).points[5]
    mean = point.table("history").groupby("step")["polysemantic_neurons"].mean()
    shown = page.evaluate("() => document.querySelector('#training .js-plotly-plot').data[1].y")
    np.testing.assert_allclose(shown, mean, rtol=1e-5)


def test_downloads_hold_the_numbers_of_the_charts(page, report):
    opened(page, report[1], "width", "phase", "weights")
    results = read_material([report[0]]).results
    width = pd.DataFrame(downloaded(page, "width")).query("measurement == 'polysemantic_neurons'")
    expected = results.groupby(["l1", "probability", "n_hidden"])["polysemantic_neurons"].mean()
    np.testing.assert_allclose(width["mean"].astype(float), expected, rtol=1e-5)
    phase = pd.DataFrame(downloaded(page, "phase"))
    np.testing.assert_allclose(
        phase["coverage"].astype(float),
        results.groupby(["n_hidden", "l1", "probability"])["coverage"].mean(),
        rtol=1e-5,
    )
    weights = pd.DataFrame(downloaded(page, "weights"))
    assert len(weights) == weights["step"].nunique() * 10 * 12
    products = pd.DataFrame(downloaded(page, "weights", 1, "weights_products"))
    assert len(products) == weights["step"].nunique() * 10 * 10
    shown = drawn(page, "#weights .products")
    last = products[products["step"] == page.locator("#weights output").text_content()]["product"].astype(float)
    np.testing.assert_allclose(last, shown.ravel(), atol=1e-6)


def test_every_other_chart_can_be_downloaded(fresh_page, report):
    # A test of its own: headless Chromium lets a page save ten files and no more.
    others = ("dose", "frontier", "training", "survival", "lives", "thresholds", "basis", "sparsification")
    opened(fresh_page, report[1], *others)
    for key in others:
        assert downloaded(fresh_page, key), key


def test_hostile_names_do_no_harm(page, tmp_path):
    run = small_one_hot(tmp_path / "plain")
    hostile = tmp_path / HOSTILE.replace("/", "")
    shutil.copytree(run, hostile)
    config = yaml.safe_load((hostile / "config.yaml").read_text())
    config["model"]["init_from"] = f"=1+1{HOSTILE}%{{x}}"
    (hostile / "config.yaml").write_text(yaml.safe_dump(config))
    other = shutil.copytree(run, tmp_path / "other")
    config["model"]["init_from"] = "</script><script>alert(3)</script>"
    (other / "config.yaml").write_text(yaml.safe_dump(config))
    file = tmp_path / "report.html"
    assert main([str(hostile), str(other), f"--output={file}"]) == 0
    opened(page, file)
    assert hostile.name in page.title()
    assert page.locator("h1 *, td *, figcaption *, option *").count() == 0
    assert page.locator("img, iframe").count() == 0
    assert page.locator("script:not([type])").count() == 2
    ticks = page.locator("#against .xtick text").all_text_contents()
    assert any(tick.startswith("=1+1<script>") for tick in ticks)
    rows = downloaded(page, "against")
    assert {row[label("init_from")] for row in rows} == {f"'=1+1{HOSTILE}%{{x}}", "</script><script>alert(3)</script>"}


def test_an_injected_script_would_not_run(browser, report, tmp_path):
    file = tmp_path / "report.html"
    attack = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    file.write_text(report[1].read_text().replace("<main>", f"<main>{attack}"))
    page = browser.new_page()
    refused = []
    page.on("console", lambda message: refused.append(message.text))
    opened(page, file, "width")
    assert page.title().startswith(report[0].name)
    assert any("inline script violates" in text for text in refused)
    page.close()


# Notes when which chart is begun and drawn.
WATCH = """
window.told = [];
new MutationObserver((changes) => changes.forEach(({ target }) => window.told.push([target.id, target.dataset.drawn])))
  .observe(document, { subtree: true, attributeFilter: ["data-drawn"] });
"""


def test_the_first_charts_are_drawn_first_and_others_when_their_reader_comes(fresh_page, report):
    fresh_page.add_init_script(WATCH)
    opened(fresh_page, report[1], "width", "dose")
    told = fresh_page.evaluate("() => window.told")
    assert told[:6] == [[key, state] for key in ("against", "width", "dose") for state in ("begun", "yes")]
    # What is far below the window waits for its reader.
    assert not {key for key, _ in told} & {"frontier", "training", "survival", "lives", "weights", "basis"}


@pytest.mark.slow
def test_a_sweep_of_100_cells_is_small_and_draws_all_charts(page, grid, tmp_path):
    sweep = repeated_sweep(
        tmp_path / "large", grid, [16 * (1 + at) for at in range(20)], [0.001 * (1 + at) for at in range(5)]
    )
    file = tmp_path / "report.html"
    assert main([str(sweep), f"--output={file}"]) == 0
    size = file.stat().st_size
    assert size < 15e6
    began = time.perf_counter()
    opened(page, file, "width")
    # How long depends on what else the machine does: told, and not tested.
    took = time.perf_counter() - began
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    (ARTIFACTS / "report_of_100_cells.txt").write_text(f"{size / 1e6:.1f} MB, drawn after {took:.2f} s\n")
    opened(page, file)
    assert page.locator("figure.chart[data-drawn=yes]").count() == page.locator("figure.chart").count()
