import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from polysemantic.functional import coverage, polysemantic_neurons
from polysemantic.results.runs import load_run
from tests.support.artifacts import ARTIFACTS
from tests.support.neuron_lists import MINUS, expected_list
from tests.support.small_runs import small_grid
from tests.support.snapshots import write_snapshot

HOSTILE = "<img src=x onerror=alert(1)>'\"&"
N_LARGE, M_LARGE = 256, 4096


def large_run(run):
    """Weights of the largest network there is to show: every feature finds a neuron, and feature 1 joins feature 0."""
    rng = np.random.default_rng(0)
    home = rng.permutation(M_LARGE)[:N_LARGE]
    home[1] = home[0]
    for at, step in enumerate((0, 1, 10, 100, 1000)):
        w = rng.normal(0, 0.02, (1, N_LARGE, M_LARGE)).astype(np.float32)
        w[0, np.arange(N_LARGE), home] = np.where(np.arange(N_LARGE) == 1, -1, 1) * at / 4
        write_snapshot(run, step, W_enc=w, instance=np.array([0]))


def hostile_run(run):
    write_snapshot(run, 0, W_enc=np.eye(3, dtype=np.float32)[None], instance=np.array([0]))
    write_snapshot(run, 5, W_enc=np.eye(3, dtype=np.float32)[None], instance=np.array([0])).write_bytes(b"torn")
    config = {"ensemble": {"seeds": 1, "vary": {HOSTILE: [1.0]}}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    root = tmp_path_factory.mktemp("board")
    small_grid(root)
    large_run(root / "lightning_logs" / "large")
    hostile_run(root / "lightning_logs" / HOSTILE)
    return root / "lightning_logs"


@pytest.fixture(scope="module")
def address(logs):
    """Where TensorBoard shows these runs."""
    command = [sys.executable, "-m", "tests.support.tensorboard_server", "--logdir", str(logs)]
    package = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": package, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"at (http://127\.0\.0\.1:\d+)/", line):
                break
        else:
            pytest.fail("".join(lines))
        yield found[1]
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture
def tab(page, address):
    """What the plugin's tab holds, without TensorBoard around it, once it has drawn the run that is listed first."""
    entry = f"{address}/data/plugin_entry.html?name=polysemantic"
    page.set_content(f'<iframe src="{entry}" style="width: 1264px; height: 836px; border: 0"></iframe>')
    frame = page.frame_locator("iframe")
    frame.locator("#matrix[data-step]").wait_for()
    return frame


def choose(tab, run):
    tab.locator("#run").select_option(run)
    tab.locator(f"#matrix[data-run={run}]").wait_for()


def move(tab, key, step):
    """Move the slider by a key; gives the milliseconds from the key to the picture."""
    tab.locator("#step").press(key)
    tab.locator(f'#matrix[data-step="{step}"]').wait_for()
    return float(tab.locator("#matrix").get_attribute("data-milliseconds"))


def pixels(tab):
    return np.asarray(Image.open(io.BytesIO(tab.locator("#matrix").screenshot())).convert("RGB"), dtype=int)


def number(tab, name):
    return float(tab.locator(f"#{name}").text_content())


def cell(tab, row, column, n_features, n_columns):
    """The middle of a cell on the canvas, below the strip of marks."""
    box = tab.locator("#matrix").bounding_box()
    return {"x": (column + 0.5) * box["width"] / n_columns, "y": 14 + (row + 0.5) * (box["height"] - 14) / n_features}


def listed(tab):
    return tab.locator("#shared button").all_text_contents()


def test_the_numbers_are_those_of_the_snapshot(tab, logs):
    choose(tab, "version_0")
    kept = load_run(logs / "version_0").weights
    for instance, label in ((0, "l1=0.001 probability=0.05, seed 0"), (2, "l1=0.001 probability=0.3, seed 0")):
        tab.locator("#instance").select_option(label=label)
        tab.locator(f'#matrix[data-instance="{instance}"]').wait_for()
        for key, step in (("End", max(kept)), ("Home", 0)):
            move(tab, key, step)
            w = kept[step]["W_enc"][instance // 2]
            assert number(tab, "polysemantic") == polysemantic_neurons(w)
            assert number(tab, "coverage") == pytest.approx(float(coverage(w)), abs=1e-3)
            assert listed(tab) == list(expected_list(w))


def test_the_slider_changes_the_picture(tab, logs):
    choose(tab, "version_0")
    steps = sorted(load_run(logs / "version_0").weights)
    move(tab, "End", steps[-1])
    last = pixels(tab)
    move(tab, "ArrowLeft", steps[-2])
    assert tab.locator("#step-label").text_content() == f"step {steps[-2]}"
    move(tab, "Home", 0)
    assert (pixels(tab) != last).any()
    move(tab, "End", steps[-1])
    np.testing.assert_array_equal(pixels(tab), last)


def test_hover_tells_weight_feature_and_neuron(tab, logs):
    choose(tab, "version_0")
    tab.locator("#order").select_option("index")
    w = load_run(logs / "version_0").weights[200]["W_enc"][0]
    for feature, neuron in ((0, 0), (7, 3), (9, 11)):
        tab.locator("#matrix").hover(position=cell(tab, feature, neuron, 10, 12))
        readout = tab.locator("#readout").text_content()
        assert readout.startswith(f"feature {feature}, neuron {neuron}: w = {w[feature, neuron].half().item():.3f};")


def test_neurons_are_sorted_by_the_feature_that_they_win(tab, logs):
    choose(tab, "version_0")
    w = load_run(logs / "version_0").weights[200]["W_enc"][0].half().float()
    winners = list(dict.fromkeys(w.abs().argmax(1).tolist()))
    for order, neurons in {"index": range(12), "winner-last": winners, "winner": winners}.items():
        tab.locator("#order").select_option(order)
        for column, neuron in enumerate(neurons):
            tab.locator("#matrix").hover(position=cell(tab, 0, column, 10, 12))
            assert f"neuron {neuron}:" in tab.locator("#readout").text_content()
        *numbers, name = tab.locator("#columns text").all_text_contents()
        assert (numbers[: len(neurons)], name) == ([str(neuron) for neuron in neurons], "neuron (index)")
    *numbers, name = tab.locator("#rows text").all_text_contents()
    assert (numbers, name) == ([str(feature) for feature in range(10)], "feature (index)")


def test_only_neurons_that_carry_something_are_left(tab, logs):
    choose(tab, "version_0")
    w = load_run(logs / "version_0").weights[200]["W_enc"][0].half()
    carrying = int((w.abs() >= 0.5).any(0).sum())
    assert carrying < 12
    wide = tab.locator("#matrix").bounding_box()["width"]
    tab.locator("#carrying").check()
    assert f"{carrying} of 12 neurons" in tab.locator("#shape").text_content()
    assert tab.locator("#matrix").bounding_box()["width"] == pytest.approx(wide * carrying / 12)


def test_colours_tell_signs(tab, logs):
    choose(tab, "version_0")
    tab.locator("#order").select_option("index")
    w = load_run(logs / "version_0").weights[200]["W_enc"][0]
    for flat in (w.argmax(), w.argmin()):
        feature, neuron = divmod(int(flat), 12)
        place = cell(tab, feature, neuron, 10, 12)
        red, _, blue = pixels(tab)[int(place["y"]), int(place["x"])]
        assert (red > blue) == (w[feature, neuron] > 0)
        tab.locator("#sign").uncheck()
        red, green, blue = pixels(tab)[int(place["y"]), int(place["x"])]
        assert red == green == blue < 128
        tab.locator("#sign").check()


def test_a_click_shows_a_neurons_features_over_time(tab, logs):
    choose(tab, "version_0")
    tab.locator("#order").select_option("index")
    kept = load_run(logs / "version_0").weights
    neuron = int((kept[200]["W_enc"][0].abs() >= 0.5).sum(0).argmax())
    tab.locator("#matrix").click(position=cell(tab, 4, neuron, 10, 12))
    tab.locator("#lives polyline").first.wait_for(state="attached")
    ever = {i for w in kept.values() for i in range(10) if abs(w["W_enc"][0, i, neuron].half()) >= 0.5}
    lines = tab.locator("#lives polyline")
    assert {int(line.get_attribute("data-feature")) for line in lines.all()} == ever
    assert all(len(line.get_attribute("points").split()) == len(kept) for line in lines.all())
    assert tab.locator("#neuron").input_value() == str(neuron)
    assert tab.locator("#lives line.now").get_attribute("data-step") == "200"
    move(tab, "Home", 0)
    assert tab.locator("#lives line.now").get_attribute("data-step") == "0"
    box = tab.locator("#lives").bounding_box()
    tab.locator("#lives").hover(position={"x": box["width"] * 0.8, "y": 20})
    told = re.fullmatch(r"step (\d+): feature (\d+), neuron (\d+): w = (-?[\d.]+)", readout(tab))
    weight = kept[int(told[1])]["W_enc"][0, int(told[2]), int(told[3])]
    assert float(told[4]) == pytest.approx(float(weight), abs=2e-3)


def test_the_matrix_is_walked_by_keyboard(tab, page, logs):
    choose(tab, "version_0")
    tab.locator("#order").select_option("index")
    w = load_run(logs / "version_0").weights[200]["W_enc"][0]
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowUp", "ArrowLeft", "ArrowLeft"):
        tab.locator("#matrix").press(key)
    told = tab.locator("#readout").text_content()
    # The first key enters the matrix, the last stops at its edge.
    assert told.startswith(f"feature 1, neuron 0: w = {w[1, 0].half().item():.3f};")
    tab.locator("#matrix").press("Enter")
    assert tab.locator("#neuron").input_value() == "0"
    names = tab.locator("#lives .name").all_text_contents()
    assert names == ["training (optimiser steps, logarithmic)", "effective weight w"]


def readout(tab):
    return tab.locator("#lives-readout").text_content()


def test_a_neuron_of_the_list_is_chosen_by_keyboard(tab):
    choose(tab, "large")
    button = tab.locator("#shared button").first
    button.press("Enter")
    tab.locator("#shared button[aria-pressed=true]").wait_for()
    tab.locator("#lives polyline").first.wait_for(state="attached")
    features = [line.get_attribute("data-feature") for line in tab.locator("#lives polyline").all()]
    assert sorted(features) == ["0", "1"]


def test_the_largest_network_does_not_freeze(tab, record_property):
    choose(tab, "large")
    assert "256 features (rows), 4096 of 4096 neurons" in tab.locator("#shape").text_content()
    assert (number(tab, "polysemantic"), number(tab, "opposite"), number(tab, "same")) == (1, 1, 0)
    assert listed(tab)[0].endswith(f": +0, {MINUS}1")
    before = pixels(tab)
    took = [move(tab, "ArrowLeft", step) for step in (100, 10, 1, 0)]
    took += [move(tab, "ArrowRight", step) for step in (1, 10, 100, 1000)]
    record_property("milliseconds", took)
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    (ARTIFACTS / "slider_milliseconds.txt").write_text(f"{[round(each) for each in took]}\n")
    assert max(took) < 1000
    assert (pixels(tab) == before).all()


def test_a_hostile_name_is_a_name(tab, page):
    tab.locator("#run").select_option(HOSTILE)
    tab.locator('#matrix[data-step="0"]').wait_for()
    assert tab.locator("#instance option").text_content() == f"{HOSTILE}=1, seed 0"
    assert tab.locator("#note").text_content() == "Skipped step_000000005.npz: File is not a zip file"
    for frame in page.frames:
        assert frame.locator("img[src=x]").count() == 0


def test_new_snapshots_are_found_by_a_button(tab, logs):
    write_snapshot(logs / "later", 3, W_enc=np.eye(2, dtype=np.float32)[None], instance=np.array([0]))
    tab.locator("#reload").click()
    choose(tab, "later")
    assert tab.locator("#step-label").text_content() == "step 3"
    assert number(tab, "coverage") == 1


@pytest.mark.slow
def test_a_fit_fills_tensorboards_own_tabs(page, address):
    for name, shown in {
        "scalars": "tf-scalar-card:has-text('polysemantic_neurons')",
        "custom_scalars": "tf-custom-scalar-margin-chart-card:has-text('polysemantic_neurons')",
        "histograms": "tf-histogram-loader:has-text('activations/hidden/')",
        "images&tagFilter=weights": "tf-image-loader:has-text('weights/W_WT') img",
        "hparams": "tf-hparams-table-view :text('l1')",
    }.items():
        page.goto(f"{address}/#{name}")
        page.locator(shown).first.wait_for()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=ARTIFACTS / f"tensorboard_{name.partition('&')[0]}.png")


def test_the_tab_opens_in_tensorboard(page, address):
    page.goto(f"{address}/#polysemantic")
    page.get_by_role("tab", name="Polysemantic").wait_for()
    frame = page.frame_locator("iframe")
    frame.locator("#matrix[data-step]").wait_for()
    choose(frame, "version_0")
    frame.locator("#shared button").first.click()
    frame.locator("#lives polyline").first.wait_for(state="attached")
