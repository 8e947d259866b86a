import io

import numpy as np
import pytest
from PIL import Image

from polysemantic.callbacks.tensorboard.pictures import picture
from polysemantic.data import IndependentBernoulli
from polysemantic.functional import effective_weight
from polysemantic.model.ensemble import Ensemble
from tests.support.event_files import events


def rgb(image):
    return np.asarray(image.convert("RGB"))


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


def test_a_run_without_snapshots_is_not_drawn(single):
    assert not any(tag.startswith("weights/") for tag in events(single.directory).Tags()["images"])
