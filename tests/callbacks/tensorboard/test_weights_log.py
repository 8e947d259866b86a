import io

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

import polysemantic
from polysemantic.callbacks import Snapshots
from polysemantic.callbacks.tensorboard.pictures import picture
from polysemantic.data import IndependentBernoulli
from polysemantic.functional import effective_weight
from polysemantic.model.ensemble import Ensemble
from polysemantic.results.intervals import interval_of

EVERYTHING = {"images": 0, "histograms": 0, "scalars": 0, "tensors": 0}


def events(directory):
    return EventAccumulator(str(directory), size_guidance=EVERYTHING).Reload()


def rgb(image):
    return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return polysemantic.fit(
        IndependentBernoulli(6, 0.2, batch_size=32),
        ensemble=Ensemble(seeds=3, vary={"l1": [0.001, 0.01]}),
        n_hidden=10,
        tied=False,
        max_steps=40,
        snapshots=Snapshots(),
        trainer={"default_root_dir": str(tmp_path_factory.mktemp("drawn")), "enable_progress_bar": False},
    )


def test_weights_and_their_products_are_pictures_at_every_snapshot(run):
    drawn = events(run.directory)
    for at, label in enumerate(("l1=0.001", "l1=0.01")):
        for tag in ("W", "W_WT"):
            images = drawn.Images(f"weights/{tag}/{label}")
            assert [image.step for image in images] == list(run.weights)
            for image in images:
                kept = run.weights[image.step]
                matrices = {
                    "W": effective_weight(kept["W_enc"], kept["W_dec"]),
                    "W_WT": kept["W_enc"] @ kept["W_dec"].mT,
                }
                decoded = Image.open(io.BytesIO(image.encoded_image_string))
                np.testing.assert_array_equal(rgb(decoded), rgb(picture(matrices[tag][at])))
                assert (image.width, image.height) == decoded.size


def test_weights_and_hidden_activations_are_histograms_at_every_snapshot(run):
    drawn = events(run.directory)
    data = IndependentBernoulli(6, 0.2, batch_size=32)
    data.bind(Ensemble(seeds=3, vary={"l1": [0.001, 0.01]}), seed=0)
    x = data.evaluation_inputs(0)[3]
    for recorded in drawn.Histograms("activations/hidden/l1=0.01"):
        h = (x @ run.weights[recorded.step]["W_enc"][1]).double()
        value = recorded.histogram_value
        assert (value.min, value.max) == pytest.approx((float(h.min()), float(h.max())), rel=1e-5)
        assert value.num == h.numel() == sum(value.bucket)
        assert value.sum_squares == pytest.approx(float(h.square().sum()), rel=1e-4)
    assert [recorded.step for recorded in drawn.Histograms("weights/effective/l1=0.001")] == list(run.weights)


def test_no_tag_is_of_two_kinds(run):
    tags = events(run.directory).Tags()
    assert not set(tags["images"]) & set(tags["histograms"])


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
    assert len(charts["polysemantic_neurons"]) == 2
    named = {tag for series in charts.values() for one in series for tag in (one.value, one.lower, one.upper)}
    assert named == set(found.Tags()["scalars"])


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One network without snapshots."""
    return polysemantic.fit(
        IndependentBernoulli(4, 0.2, batch_size=8),
        ensemble=Ensemble(seeds=1),
        n_hidden=4,
        max_steps=2,
        snapshots=Snapshots(instances=[]),
        trainer={"default_root_dir": str(tmp_path_factory.mktemp("single")), "enable_progress_bar": False},
    )


def test_a_run_without_snapshots_is_not_drawn(single):
    assert not any(tag.startswith("weights/") for tag in events(single.directory).Tags()["images"])


def test_one_network_has_a_line_for_a_band(single):
    found = events(single.directory / "bands")
    curves = [
        [(point.step, point.value) for point in found.Scalars(f"with_bands/loss/{curve}")]
        for curve in ("low", "mean", "high")
    ]
    assert curves[0] == curves[1] == curves[2]
    assert [step for step, _ in curves[1]] == sorted(set(single.history["step"]))
