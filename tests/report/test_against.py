import dataclasses
import json

import numpy as np
import pytest

from polysemantic.report.interactive import payload
from polysemantic.report.paper import arranged
from polysemantic.report.reading import read_material
from polysemantic.report.sections import against
from polysemantic.results.columns import Column
from tests.support.reports import named, sections


def of(material):
    """The chart of a report, and its data for the page."""
    (chart,) = against(material).charts
    return chart, json.loads(json.dumps(payload(chart), allow_nan=False))


def test_any_measurement_stands_against_any_setting(sweep):
    material, charts, _ = sections(sweep)
    chart, results = charts["against"], material.results
    assert set(chart.charts) == {"L1 coefficient", "probability", "neurons m", "devices"}
    assert {"polysemantic_neurons", "coverage", "loss", "privilege"} <= set(chart.measures)
    mean = named(chart.charts["probability"], "neurons m = 16, L1 coefficient = 0.01, devices = 2", "mean")
    assert mean.x == [0.05, 0.3]
    rows = results.query("n_hidden == 16 and l1 == 0.01")
    for column, measured in chart.measures.items():
        np.testing.assert_allclose(
            measured.means.loc[mean.rows, "mean"], rows.groupby("probability")[column].mean(), err_msg=column
        )
    points = named(chart.charts["probability"], mean.name, "points")
    assert sorted(chart.measures["loss"].networks[at] for at in points.rows) == sorted(rows["loss"])


def test_the_page_can_put_every_measurement_into_the_curves(grid):
    chart, data = of(read_material([grid]))
    measured = {one["column"]: one for one in data["measures"]}
    for view, drawn in zip(data["across"], chart.charts.values(), strict=True):
        assert len(view["traces"]) == len(drawn.views[""])
        for trace, series in zip(view["traces"], drawn.views[""], strict=True):
            column = "polysemantic_neurons" if trace["yaxis"] == "y" else "coverage"
            values = measured[column]["networks" if series.kind == "points" else "mean"]
            assert [values[row] for row in trace["rows"]] == pytest.approx(series.y, rel=1e-5)
            assert len(trace["x"]) == len(trace["at"]) == len(trace["rows"])
    assert [one["title"]["text"] for one in (measured["loss"]["axis"],)] == [chart.measures["loss"].label]
    assert data["across"][0]["groups"] == {
        "probability = 0.05": {"probability": "0.05"},
        "probability = 0.3": {"probability": "0.3"},
    }


def test_a_setting_that_goes_along_breaks_no_curve(grid):
    material = read_material([grid])
    results = material.results.assign(batch_size=material.results["probability"].map({0.05: 64, 0.3: 32}))
    chart, _ = of(dataclasses.replace(material, results=results, axes=[*material.axes, "batch_size"]))
    for name in ("probability", "batch size (inputs of a step)"):
        assert len(named(chart.charts[name], "L1 coefficient = 0.01", "mean").x) == 2


def test_words_and_zero_have_their_places(grid):
    material = read_material([grid])
    results = material.results.assign(l1=[0, 0, 0.01, 0.01, *[0.1] * 4], init=["normal", "orthogonal"] * 4)
    section = against(dataclasses.replace(material, results=results, axes=["init", "l1"]))
    (chart,) = section.charts
    assert list(chart.charts) == ["L1 coefficient", "initial weights"]
    assert any("sets 0 apart" in text for text in section.text)
    layout = payload(chart)["across"][0]["layout"]
    assert layout["xaxis"]["ticktext"] == ["0", "0.01", "0.1"]
    assert layout["xaxis"]["tickvals"][0] > 0
    assert layout["xaxis"]["tickvals"][0] < layout["shapes"][0]["x0"] < 0.01
    assert payload(chart)["across"][1]["layout"]["xaxis"]["ticktext"] == ["normal", "orthogonal"]
    shown = [text.get_text() for text in arranged(chart).axes[0].get_xticklabels()]
    assert shown == ["0", "0.01", "0.1"]


def test_a_users_metric_can_be_chosen(grid):
    material = read_material([grid])
    results = material.results.assign(largest=np.arange(8.0))
    own = dataclasses.replace(material, results=results)
    own.sources[0].own_columns["largest"] = Column("largest", "mine", "largest weight", "no unit")
    chart, _ = of(own)
    assert chart.measures["largest"].label == "largest weight (no unit)"
    assert chart.measures["largest"].networks == list(range(8))


def test_nothing_is_against_nothing(one_hot):
    assert against(read_material([one_hot])) is None
