import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer

import polysemantic
from polysemantic.callbacks import Checkpoint, CollisionTracker, Convergence, Measurements, Results, Snapshots
from polysemantic.callbacks.measurer import _blocks
from polysemantic.data import HalfSplit, IndependentBernoulli, OneHot
from polysemantic.metrics import STANDARD, InstanceMetric
from polysemantic.model.ensemble import Ensemble
from polysemantic.runtime.standard_callbacks import standard_callbacks
from polysemantic.training.module import EnsembleModule
from tests.support.tables import without_run


class Kept(Measurements):
    """Measurements that keep what the last one was taken on."""

    def act(self, trainer, module):
        super().act(trainer, module)
        self.batches = [
            module.evaluate(module.evaluation_inputs(batch), module.networks) for batch in module.data.val_dataloader()
        ]
        self.losses = [module.networks.loss(batch["x"]) for batch in self.batches]
        self.outputs = [module.networks(batch["x"]) for batch in self.batches]


class InstancesTogether(InstanceMetric):
    """How many instances were measured together with each."""

    def update(self, W_enc):
        self.add(torch.full((len(W_enc),), len(W_enc)))


def trained(data, seeds=5, **model):
    callback = Kept(5, metrics=[InstancesTogether()])
    module = EnsembleModule(data.n_features, 8, Ensemble(seeds), **model)
    bare_trainer(callback, max_steps=5).fit(module, datamodule=data)
    return callback


def bare_trainer(*callbacks, **options):
    off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", callbacks=list(callbacks), **off, **options)


DATA = [lambda: OneHot(12), lambda: OneHot(12, batch_size=300), lambda: HalfSplit(12, active_fraction=0.5)]
MODELS = [{}, {"tied": False, "l1": 0.1}, {"act": "relu", "bias": True, "importance": 0.9}]
# So many features or inputs that the cache holds those of 2 or 4 instances.
LARGE = [
    (lambda: OneHot(512), 2),
    (lambda: OneHot(12, batch_size=2**13), 4),
    (lambda: HalfSplit(12, active_fraction=0.5, batch_size=2**13), 4),
]


@pytest.mark.parametrize(("data", "together"), LARGE)
def test_as_many_instances_are_measured_together_as_the_cache_holds(data, together):
    (made := data()).bind(Ensemble(5))
    blocks = _blocks(EnsembleModule(made.n_features, 8, Ensemble(5)).networks, made.evaluation_rows)
    assert [block.stop - block.start for block in blocks] == [together] * (4 // together) + [1]


# The same proportions in an eighth of the cache.
SMALL = [
    (lambda: OneHot(192), 2),
    (lambda: OneHot(12, batch_size=2**10), 4),
    (lambda: HalfSplit(12, active_fraction=0.5, batch_size=2**10), 4),
]


@pytest.mark.parametrize(("data", "together"), SMALL)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_instances_measured_together_or_apart_have_the_same_values(data, together, model, monkeypatch):
    monkeypatch.setattr("polysemantic.callbacks.measurer._AT_ONCE", 3 * 2**15)
    monkeypatch.setattr("polysemantic.callbacks.networks._AT_ONCE", 2**15)
    few, more = (trained(data(), seeds, **model).latest for seeds in (5, 6))
    assert few.pop("instances_together").tolist() == [together] * 4 + [1]
    assert more.pop("instances_together").tolist() == [together] * 4 + [2, 2]
    for column, values in few.items():
        # Weights agree to rounding after five steps, and small differences of large numbers to a few digits less.
        torch.testing.assert_close(more[column][:5], values, equal_nan=True, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_evaluation_gives_what_the_networks_give(data, model):
    callback = trained(data(), **model)
    for batch, loss, (h, x_hat) in zip(callback.batches, callback.losses, callback.outputs, strict=True):
        torch.testing.assert_close(batch["h"], h, check_dtype=True)
        torch.testing.assert_close(batch["x_hat"], x_hat)
        torch.testing.assert_close(batch["loss"], loss)


def fit(tmp_path, max_steps=40, **options):
    trainer = {"default_root_dir": str(tmp_path), "accelerator": "cpu", "enable_progress_bar": False}
    return polysemantic.fit(OneHot(8), n_hidden=8, max_steps=max_steps, trainer=trainer, **options)


def metric_named(name):
    return type(name, (InstanceMetric,), {"update": lambda self, W_enc: self.add(W_enc.amax((1, 2)))})()


def test_measurements_serve_one_run_after_another(tmp_path):
    used = Measurements(10, metrics=[metric_named("Largest")])
    fit(tmp_path, 30, measurements=used, ensemble=Ensemble(3), l1=0.01)
    again = fit(tmp_path, measurements=used)
    fresh = fit(tmp_path, measurements=Measurements(10, metrics=[metric_named("Largest")]))
    assert again.history["step"].unique().tolist() == [0, 10, 20, 30, 40]
    pd.testing.assert_frame_equal(again.history, fresh.history)
    pd.testing.assert_frame_equal(without_run(again.results), without_run(fresh.results))


def test_a_resumed_run_keeps_the_history_of_measurements_that_were_used_before(tmp_path):
    run = fit(tmp_path, 20, measurements=Measurements(10))
    used = Measurements(10)
    fit(tmp_path, 50, measurements=used)
    resumed = fit(tmp_path, measurements=used, ckpt_path=run.directory / "checkpoints" / "last.ckpt")
    assert resumed.history["step"].unique().tolist() == [0, 10, 20, 30, 40]


def test_validation_writes_nothing_into_what_training_measured(tmp_path):
    training = [Measurements(10), CollisionTracker(10), Snapshots(), Checkpoint(), Convergence(10)]
    measurements, collisions, _, _, convergence = training
    bare_trainer(measurements, collisions, convergence, max_steps=10).fit(
        EnsembleModule(8, 6, Ensemble(2)), datamodule=OneHot(8)
    )
    before = [metric.total.clone() for metric in measurements.metrics]
    (results,) = (one for one in standard_callbacks(*training, "", quiet=True) if isinstance(one, Results))
    other = EnsembleModule(8, 6, Ensemble(2), seed=1)
    bare_trainer(results).validate(other, datamodule=OneHot(8), verbose=False)
    torch.testing.assert_close(
        [metric.total for metric in measurements.metrics], before, rtol=0, atol=0, equal_nan=True
    )
    assert measurements.steps == [0, 10]
    assert (measurements.latest["loss"] - torch.tensor(results.table["loss"])).abs().min() > 1e-3


def test_no_metric_may_have_a_column_that_the_run_has_anyway(tmp_path):
    varied = Ensemble(1, {"l1": [0.0]})
    run = fit(tmp_path, 1, ensemble=varied)
    columns = (set(run.results) | set(run.history)) - {kind.column() for kind in STANDARD}
    assert {"seed", "l1", "exposures", "rotation_gap", "disambiguation_neuron"} < columns
    for column in columns:
        metric = metric_named(column.title().replace("_", ""))
        with pytest.raises(ValueError, match=f"`metrics` must have .* does not have anyway, got {column}\\."):
            fit(tmp_path, 1, measurements=Measurements(metrics=[metric]), ensemble=varied)


@pytest.mark.parametrize("values", [lambda W: W.sum(2), lambda W: W.sum((1, 2))[:-1], lambda W: W.flatten()])
@pytest.mark.usefixtures("unchecked")
def test_a_metric_that_adds_another_number_of_values_than_instances_is_named(tmp_path, values):
    class Misshapen(InstanceMetric):
        def update(self, W_enc):
            self.add(values(W_enc))

    with pytest.raises(ValueError, match=r"`metrics` must add one value for each instance, got .* of Misshapen\."):
        fit(tmp_path, 1, measurements=Measurements(metrics=[Misshapen()]))


@pytest.mark.parametrize("name", ["W_enc", "h", "l1"])
def test_a_metric_that_writes_into_what_it_is_given_is_named(tmp_path, name):
    class Writer(InstanceMetric):
        def _filter_kwargs(self, **kwargs):
            return {given: value for given, value in kwargs.items() if given == name}

        def update(self, **given):
            self.add(given[name].mul_(2).view(16, -1).sum(1))

    with pytest.raises(
        ValueError, match=rf"`metrics` must leave what they are given as it is, got {name} changed by Writer\."
    ):
        fit(tmp_path, measurements=Measurements(metrics=[Writer()]))


def test_a_metric_that_breaks_its_declaration_later_is_told_and_kept(tmp_path):
    class Halved(InstanceMetric):
        count_valued = True
        taken = 0

        def update(self, W_enc):
            self.add(torch.full((len(W_enc),), 0.5 if self.taken else 1))
            self.taken += 1

    with pytest.warns(
        UserWarning, match="^`Halved` must be whole, as `count_valued` says; some values during training"
    ):
        run = fit(tmp_path, 20, measurements=Measurements(10, metrics=[Halved()]), ensemble=Ensemble(2))
    assert run.history.groupby("step")["halved"].mean().tolist() == [1, 0.5, 0.5]
    assert run.results["halved"].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("tied", [True, False])
def test_a_metric_may_ask_for_the_initial_weights(tmp_path, tied):
    class Travelled(InstanceMetric):
        def update(self, W_enc, w_start):
            self.add((W_enc - w_start).norm(dim=(1, 2)))

    run = fit(tmp_path, measurements=Measurements(10, metrics=[Travelled()]), ensemble=Ensemble(2), tied=tied)
    travelled = run.history.groupby("step")["travelled"].mean()
    assert travelled[0] < 1e-6
    assert travelled[40] > travelled[10] > 0.01


@pytest.mark.usefixtures("unchecked")
def test_networks_are_measured_the_less_often_the_more_features_there_are_for_a_batch(tmp_path):
    # 100 * 8 / 5 steps are more than the 150 of this length, and leave more than eight measurements.
    data = IndependentBernoulli(8, 0.1, batch_size=5)
    trainer = {"default_root_dir": str(tmp_path), "accelerator": "cpu", "enable_progress_bar": False}
    run = polysemantic.fit(data, n_hidden=2, ensemble=Ensemble(1), max_steps=1350, trainer=trainer)
    assert run.history["step"].unique().tolist() == [*range(0, 1350, 160), 1350]
