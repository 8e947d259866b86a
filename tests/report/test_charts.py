import base64
import json

import numpy as np
import pandas as pd
import pytest

from polysemantic.report.charts import Chart, Matrices, Panel, Phase, Series, Slides
from polysemantic.report.groups import in_words, panels, statistics
from polysemantic.report.interactive import payload
from polysemantic.report.labels import MEASURES, PALETTE
from polysemantic.report.paper import arranged
from tests.support.reports import sections

go = pytest.importorskip("plotly.graph_objects")


def test_weights_in_print_name_their_network(grid):
    chart = sections(grid)[1]["weights"]
    assert arranged(chart).get_suptitle() == chart.networks[0].name


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
def test_counts_begin_at_zero(kind, top):
    columns = ["collisions_same_sign", "loss"]
    steps, values = [0, 100, 200], [0.9 * top, 0.9 * top, top]
    series = [Series("", kind, steps, values, values, values, panel=panel) for panel in range(2)]
    chart = Chart("", "", panels("step", columns), {"": series}, pd.DataFrame())
    layout = payload(chart)["layout"]
    assert [layout[axis]["rangemode"] for axis in ("yaxis", "yaxis2")] == ["tozero", "normal"]
    counts, loss = arranged(chart).axes
    low, high = counts.get_ylim()
    assert low == -0.02 * high
    assert high == 1 if top == 0 else top < high < 1.2 * top
    assert loss.get_ylim()[0] != 0


def test_counts_across_begin_at_zero():
    series = [Series("", "points", [0, 0], [0.1, 0.2])]
    chart = Chart("", "", panels("polysemantic_neurons", ["loss"]), {"": series}, pd.DataFrame())
    assert payload(chart)["layout"]["xaxis"]["rangemode"] == "tozero"
    assert arranged(chart).axes[0].get_xlim() == (-0.02, 1)


def test_a_phase_of_zeros_has_a_scale_from_zero():
    table = pd.DataFrame({"l1": [0.0, 1.0], "n_hidden": [1, 1], "collisions_same_sign": [0.0, np.nan], "networks": 2})
    chart = Phase("", "", table, ["l1", "n_hidden"], ["collisions_same_sign"])
    (image,) = arranged(chart).axes[0].images
    assert image.get_clim() == (0, 1)


def test_a_phase_of_shares_has_a_scale_from_zero_to_one():
    table = pd.DataFrame({"l1": [0.0, 1.0], "n_hidden": [1, 1], "represented": [1.0, 1.0], "networks": 2})
    chart = Phase("", "", table, ["l1", "n_hidden"], ["represented"])
    assert payload(chart)["shares"] == ["represented"]
    (image,) = arranged(chart).axes[0].images
    assert image.get_clim() == (0, 1)


def test_every_chart_is_one_that_plotly_accepts_and_downloads_all_it_draws(sweep):
    for chart in sections(sweep)[1].values():
        data = json.loads(json.dumps(payload(chart), allow_nan=False))
        if data["kind"] == "chart":
            for view in data["views"]:
                go.Figure(view["traces"], data["layout"])
            lengths = {len(values) for values in data["table"]["values"]}
            assert len(lengths) == 1
            assert lengths.pop() > 0


@pytest.mark.parametrize("name", ["l1 = {}", f"{'optimizer = SGD, ' * 6}l1 = {{}}", "W" * 99 + " {}"])
@pytest.mark.parametrize("kind", ["points", "mean"])
def test_a_legend_in_print_is_whole(name, kind):
    names = [name.format(at) for at in range(40)]
    series = [Series(one, kind, [1], [1], [0], [2]) for one in names]
    figure = arranged(Chart("width", "", [Panel("x", "y")], {"": series}, pd.DataFrame()))
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
