import doctest
import warnings
from pathlib import Path

import pytest
import torch
from torchmetrics import MetricCollection

from polysemantic import functional, metrics
from polysemantic.metrics import InstanceMetric
from polysemantic.metrics.testing import check_metric

ALL = [kind for kind in vars(metrics).values() if isinstance(kind, type) and kind is not InstanceMetric]
THRESHOLDS = [kind for kind in ALL if issubclass(kind, metrics.carrying.ThresholdMetric)]
TOLERANCES = [metrics.FeaturesPerNeuron, metrics.SparsityCount]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def updates(tied):
    """Three updates of different networks, with batches of different sizes."""
    return [
        {
            "W_enc": 0.6 * normal(3, 6, 4, seed=step),
            "W_dec": None if tied else 0.6 * normal(3, 6, 4, seed=step + 10),
            "b_dec": None,
            "w_start": normal(3, 6, 4, seed=20),
            "led_at_start": functional.strongest(normal(3, 6, 4, seed=20)).neuron,
            "signs_at_start": functional.pack_signs(normal(3, 6, 4, seed=20)),
            "cooccurrence": normal(3, 6, 6, seed=30).double().abs(),
            "partition": torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0, -1.0]),
            "x": normal(3, batch, 6, seed=step + 40).relu(),
            "h": normal(3, batch, 4, seed=step + 50),
            "x_hat": normal(3, batch, 6, seed=step + 60).relu(),
            "l1": torch.full((3,), 0.1),
            "loss": torch.full((3,), 1.0 / batch),
        }
        for step, batch in enumerate([5, 1, 8])
    ]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ALL)
def test_every_metric_keeps_the_contract(kind, tied):
    check_metric(kind, updates(tied))


@pytest.mark.parametrize("kind", ALL)
def test_every_metric_shows_an_example_that_the_doctests_run(kind):
    (example,) = doctest.DocTestFinder(recurse=False).find(kind)
    assert any("compute()" in line.source for line in example.examples)


def test_all_metrics_are_exported():
    assert {kind.__name__ for kind in ALL} | {"InstanceMetric", "STANDARD"} == set(metrics.__all__)


@pytest.mark.parametrize("kind", ALL)
def test_every_column_is_explained_to_users(kind):
    explained = (Path(__file__).parents[2] / "docs" / "measurements.md").read_text()
    assert f"`{kind.column()}`" in explained


def test_columns_are_the_names_of_the_classes():
    assert metrics.PolysemanticNeuronsBand.column() == "polysemantic_neurons_band"
    assert metrics.L1Norm.column() == "l1_norm"
    assert metrics.ShareAnglesBelow90.column() == "share_angles_below_90"
    assert len({kind.column() for kind in ALL}) == len(ALL)


def test_one_instance_keeps_its_axis():
    metric = metrics.Coverage()
    metric.update(torch.eye(3).unsqueeze(0))
    assert metric.compute().shape == (1,)
    assert metric.clone().compute().shape == (1,)


def test_empty_metrics_say_so():
    with pytest.warns(UserWarning, match="metric Coverage was called before the ``update`` method"):
        assert metrics.Coverage().compute().isnan().all()


def test_a_loaded_metric_is_not_empty():
    metric, loaded = metrics.Coverage(), metrics.Coverage()
    metric.update(torch.eye(3).unsqueeze(0))
    metric.persistent(True)
    loaded.load_state_dict(metric.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loaded.compute().tolist() == [1]


def test_a_collection_keeps_metrics_apart_that_agree_once():
    collection = MetricCollection({kind.column(): kind() for kind in (metrics.Coverage, metrics.Represented)})
    collection.update(W_enc=torch.eye(16).unsqueeze(0))
    assert collection["coverage"].compute() == collection["represented"].compute() == 1
    collection.reset()
    collection.update(W_enc=torch.full((1, 16, 16), 0.25))
    assert {column: value.tolist() for column, value in collection.compute().items()} == {
        "coverage": [0],
        "represented": [1],
    }


def test_inputs_count_alike_whatever_their_batch():
    x = normal(2, 7, 5)
    metric = metrics.ReconstructionError()
    for batch in x.split([1, 4, 2], dim=1):
        metric.update(x=batch, x_hat=torch.zeros_like(batch))
    torch.testing.assert_close(metric.compute(), functional.reconstruction_error(torch.zeros_like(x), x))


def test_kurtosis_counts_only_inputs_with_activations():
    h = normal(2, 6, 8)
    h[0, :3] = 0
    metric = metrics.HiddenExcessKurtosis()
    metric.update(h[:, :3])
    assert metric.compute().isnan().tolist() == [True, False]
    metric.update(h[:, 3:])
    torch.testing.assert_close(metric.compute(), functional.hidden_excess_kurtosis(h))


@pytest.mark.parametrize("kind", THRESHOLDS)
def test_a_threshold_must_be_positive(kind):
    with pytest.raises(ValueError, match=r"`threshold` must be positive, got -1\.0\."):
        kind(threshold=-1.0)


@pytest.mark.parametrize("kind", TOLERANCES)
def test_a_tolerance_must_be_a_share(kind):
    with pytest.raises(ValueError, match=r"`tolerance` must lie in \[0, 1\), got 1\.0\."):
        kind(tolerance=1.0)


def test_the_tolerance_of_angles_must_be_below_90_degrees():
    with pytest.raises(ValueError, match=r"`tolerance` must lie in \[0, 90\), got 90\.0\."):
        metrics.ShareAnglesBelow90(tolerance=90.0)


def test_the_band_must_not_be_empty():
    with pytest.raises(ValueError, match=r"`low` must lie in \(0, high = 1\.2\], got 1\.3\."):
        metrics.PolysemanticNeuronsBand(low=1.3)


@pytest.mark.parametrize("kind", THRESHOLDS)
def test_thresholds_reach_the_measurement(kind):
    W = torch.tensor([[[1.0, 0.0, 0.0], [0.8, 0.8, 0.0], [-0.8, -0.8, 0.8], [0.8, 0.0, 0.0]]])
    w_start = W.flip(-1) + torch.tensor([0.1, 0.2, 0.3])
    low, high = kind(), kind(threshold=0.9)
    for metric in (low, high):
        at_start = {
            "led_at_start": functional.strongest(w_start).neuron,
            "signs_at_start": functional.pack_signs(w_start),
        }
        metric.update(**metric._filter_kwargs(W_enc=W, W_dec=None, **at_start))
    assert low.threshold == 0.5
    assert low.compute() != high.compute()
