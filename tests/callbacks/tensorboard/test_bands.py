import pytest
import torch
from tensorboard.plugins.custom_scalar import layout_pb2

from polysemantic.results.intervals import interval_of
from tests.support.event_files import events


def test_bands_are_the_intervals_of_the_history(run):
    found = events(run.directory / "l1=0.01" / "bands")
    history = run.history[run.history["l1"] == 0.01]
    by_step = {step: torch.tensor(rows["loss"].to_numpy()) for step, rows in history.groupby("step")}
    for curve in ("low", "mean", "high"):
        recorded = {event.step: event.value for event in found.Scalars(f"with_bands/loss/{curve}")}
        for step, losses in by_step.items():
            assert recorded[step] == pytest.approx(float(getattr(interval_of("loss", losses), curve)), rel=1e-5)


def test_no_curve_of_a_count_or_share_leaves_its_range(run):
    bands = events(run.directory / "l1=0.01" / "bands")
    for curve, tag in (("low", "collisions/polysemantic_neurons"), ("high", "features/coverage")):
        within = [event.value for event in bands.Scalars(f"with_bands/{tag.rpartition('/')[2]}/{curve}")]
        alone = [event.value for event in events(run.directory / "l1=0.01" / curve).Scalars(tag)]
        assert within == alone
        assert (min(within) == 0) if curve == "low" else (max(within) == 1)


def test_the_layout_names_curves_that_were_written(run):
    found = events(run.directory / "l1=0.001" / "bands")
    layout = layout_pb2.Layout()
    layout.ParseFromString(found.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    charts = {chart.title: chart.margin.series for category in layout.category for chart in category.chart}
    assert len(charts) == 12
    assert [len(charts[name]) for name in ("polysemantic_neurons", "hidden_excess_kurtosis")] == [1, 2]
    named = {tag for series in charts.values() for one in series for tag in (one.value, one.lower, one.upper)}
    assert named == set(found.Tags()["scalars"])


def test_one_network_has_a_line_for_a_band(single):
    found = events(single.directory / "bands")
    curves = [
        [(point.step, point.value) for point in found.Scalars(f"with_bands/loss/{curve}")]
        for curve in ("low", "mean", "high")
    ]
    assert curves[0] == curves[1] == curves[2]
    assert [step for step, _ in curves[1]] == sorted(set(single.history["step"]))
