import contextlib
import io
import re
from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import polysemantic
from polysemantic.callbacks import Measurements
from polysemantic.data import IndependentBernoulli
from polysemantic.metrics import STANDARD, InstanceMetric
from polysemantic.model.ensemble import Ensemble
from polysemantic.report.interactive import payload
from polysemantic.report.labels import label
from polysemantic.report.paper import arranged
from polysemantic.report.reading import read_material
from polysemantic.report.sections import phase, results
from polysemantic.results.columns import COLUMNS, SETTING, Column, described, look_up, read_columns
from polysemantic.results.tables import mean_and_interval


class ShareOfMine(InstanceMetric):
    """A half of one network in three, and all of the others."""

    group = "mine"
    label = "my weights"
    unit = "share of weights"
    range = (0, 1)

    def update(self, W_enc):
        self.add(torch.tensor([0.5, 1, 1]).repeat(len(W_enc) // 3))


class CountOfMine(InstanceMetric):
    """Two in one network of three, and none in the others."""

    group = "mine"
    label = "neurons of mine"
    short_label = "mine"
    range = (0, inf)
    count_valued = True

    def update(self, W_enc):
        self.add(torch.tensor([0, 2, 0]).repeat(len(W_enc) // 3))


DOCS = Path(__file__).parents[2] / "docs" / "measurements.md"
SHARE, COUNT = "share_of_mine", "count_of_mine"
OWN = {metric.column(): described(metric) for metric in (ShareOfMine, CountOfMine)}
# Student's interval of three networks reaches 1.55 and -2.20.
TEXTS = {SHARE: "0.83 [0.12, 1]", COUNT: "0.67 [0, 3.54]"}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A run with a user's metrics, and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run = polysemantic.fit(
            IndependentBernoulli(6, 0.1, batch_size=16),
            ensemble=Ensemble(3, {"l1": [0.0, 0.01], "probability": [0.1, 0.3]}),
            n_hidden=5,
            max_steps=20,
            measurements=Measurements(10, metrics=[ShareOfMine(), CountOfMine()]),
            trainer={"default_root_dir": str(tmp_path_factory.mktemp("run")), "enable_progress_bar": False},
        )
    return run, printed.getvalue()


@pytest.fixture(scope="module")
def material(fitted):
    return read_material([fitted[0].directory])


def test_the_table_of_results_has_whole_numbers_where_a_users_metric_counts(fitted):
    results = fitted[0].results
    assert (str(results[COUNT].dtype), str(results[SHARE].dtype)) == ("Int64", "float64")
    assert results[COUNT].tolist() == [0, 2, 0] * 4


def test_the_terminal_shows_a_users_columns_under_their_labels_within_their_ranges(fitted):
    _, printed = fitted
    assert re.search(r"l1 +probability +my weights +mine\b", printed)
    for text in TEXTS.values():
        assert printed.count(text) == 4


def test_bands_of_a_users_column_in_tensorboard_end_where_its_range_does(fitted):
    run, _ = fitted
    for column, curve, end in ((SHARE, "high", 1), (COUNT, "low", 0)):
        events = EventAccumulator(str(run.directory / "l1=0.01 probability=0.3" / curve)).Reload()
        assert [event.value for event in events.Scalars(f"mine/{column}")] == [end] * 3


def test_a_report_reads_a_users_columns_from_the_run_directory_alone(material):
    assert material.own_columns == OWN
    section = results(material)
    headings, rows = section.tables[0].columns, section.tables[0].rows
    for column, axis in {SHARE: "my weights (share of weights)", COUNT: "neurons of mine"}.items():
        assert label(column, material.columns) == axis
        low, high = (float(end) for end in re.findall(r"\[(.*), (.*)\]", TEXTS[column])[0])
        for row in rows:
            found = re.findall(r"\[(.*), (.*)\]", row[headings.index(axis)])[0]
            assert [float(end) for end in found] == pytest.approx([low, high], abs=0.05)


def test_a_phase_diagram_shows_a_users_share_from_zero_to_one(material):
    (chart,) = phase(material).charts
    data = payload(chart)
    assert {SHARE, COUNT} < set(data["measures"])
    assert SHARE in data["shares"]
    assert COUNT not in data["shares"]
    assert data["labels"][SHARE] == "my weights (share of weights)"
    chart.measures = [SHARE]
    heatmap, scale = arranged(chart).axes
    assert heatmap.images[0].get_clim() == (0, 1)
    assert scale.get_ylabel() == "my weights (share of weights)"


@pytest.mark.parametrize("name", ["results", "history"])
def test_tables_that_describe_columns_are_the_same_to_pandas(name, fitted, tmp_path):
    path = fitted[0].directory / f"{name}.parquet"
    described_there = read_columns(path)
    assert {name: column for name, column in described_there.items() if column.group != SETTING} == OWN
    assert ("eps" in described_there) == (name == "results")
    table = pd.read_parquet(path)
    table.to_parquet(tmp_path / "plain.parquet", index=False)
    again = pd.read_parquet(tmp_path / "plain.parquet")
    pd.testing.assert_frame_equal(table, again, check_exact=True)
    assert table.attrs == again.attrs == {}


def test_a_run_that_describes_no_columns_is_read_all_the_same(fitted, tmp_path):
    for name in ("config.yaml", "results.parquet"):
        (tmp_path / name).write_bytes((fitted[0].directory / name).read_bytes())
    pd.read_parquet(tmp_path / "results.parquet").to_parquet(tmp_path / "results.parquet", index=False)
    material = read_material([tmp_path])
    assert material.own_columns == {}
    assert label(SHARE, material.columns) == "share of mine"
    assert SHARE not in payload(phase(material).charts[0])["measures"]


def test_a_table_of_a_user_without_their_columns_knows_no_range():
    values = pd.Series([0.5, 1, 1], name=SHARE)
    assert mean_and_interval(values) == "0.83 ± 0.72"
    assert mean_and_interval(values, COLUMNS | OWN) == TEXTS[SHARE]


def test_every_column_of_a_run_is_described_and_every_description_is_of_a_column(fitted):
    run, _ = fitted
    found = set(run.results) | set(run.history)
    assert set(COLUMNS) <= found
    assert found - set(COLUMNS) == {"probability"} | set(read_columns(run.directory / "results.parquet"))


def values_text(column):
    """Whole numbers or not, and the interval that holds them."""
    least, most = column.range
    size = {"": "", "n_hidden": "m]", "n_features": "n]"}[column.at_most]
    low, high = "(-∞" if least == -inf else f"[{least:g}", size or ("∞)" if most == inf else f"{most:g}]")
    told = ["whole"] * column.counts + [f"{low}, {high}"] * (column.range != (-inf, inf))
    return " ".join(told)


def documented():
    """Group, label of the axis and values of each column that the documentation tells of."""
    found = []
    for heading in re.split(r"(?m)^###? ", DOCS.read_text()):
        group = heading.partition("\n")[0]
        for row in re.findall(r"(?m)^\| `.*\|$", heading):
            name, axis, values, what, _ = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
            assert what, row
            found.append((name.strip("`"), group, axis, values))
    return found


def test_the_documentation_tells_of_every_column_and_of_no_other():
    expected = [(name, of.group, of.axis, values_text(of)) for name, of in COLUMNS.items()]
    assert sorted(documented()) == sorted(expected)


def test_a_metric_says_where_its_column_ends():
    with pytest.raises(ValueError, match=r"`range` must be a least and a greatest value, got \(1, 0\) of x\."):
        Column("x", "mine", range=(1, 0))
    metric = type("Backwards", (InstanceMetric,), {"range": (1, 1), "update": lambda self, W_enc: None})
    with pytest.raises(ValueError, match=r"`range` must be .*, got \(1, 1\) of backwards\."):
        Measurements(metrics=[metric()])


def test_a_column_that_nothing_is_known_of_has_its_name_for_a_label():
    column = look_up("of_the_user")
    assert (column.axis, column.range, column.counts) == ("of the user", (-inf, inf), False)


def test_tags_of_metrics_are_their_groups_and_names():
    for kind in STANDARD:
        assert COLUMNS[kind.column()].tag == f"{kind.group}/{kind.column()}"
    assert COLUMNS["collisions_born"].tag == "end/collisions_born"
    assert np.isfinite(COLUMNS["min_angle"].range).all()
