import pytest
import torch
from lightning.pytorch import Trainer

from polysemantic.callbacks import Measurements
from polysemantic.data import HalfSplit, OneHot
from polysemantic.metrics import InstanceMetric
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule


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
    module = EnsembleModule(data.n_features, 8, Ensemble(seeds), compile=False, **model)
    off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    Trainer(max_steps=5, accelerator="cpu", callbacks=[callback], **off).fit(module, datamodule=data)
    return callback


DATA = [lambda: OneHot(12), lambda: OneHot(12, batch_size=300), lambda: HalfSplit(12, active_fraction=0.5)]
MODELS = [{}, {"tied": False, "l1": 0.1}, {"act": "relu", "bias": True, "importance": 0.9}]
# So many features or inputs that the cache holds those of 2 or 4 instances.
LARGE = [
    (lambda: OneHot(512), 2),
    (lambda: OneHot(12, batch_size=2**13), 4),
    (lambda: HalfSplit(12, active_fraction=0.5, batch_size=2**13), 4),
]


@pytest.mark.parametrize(("data", "together"), LARGE)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_instances_measured_together_or_apart_have_the_same_values(data, together, model):
    few, more = (trained(data(), seeds, **model).latest for seeds in (5, 6))
    assert few.pop("instances_together").tolist() == [together] * 4 + [1]
    assert more.pop("instances_together").tolist() == [together] * 4 + [2, 2]
    for column, values in few.items():
        torch.testing.assert_close(more[column][:5], values, equal_nan=True, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_evaluation_gives_what_the_networks_give(data, model):
    callback = trained(data(), **model)
    for batch, loss, (h, x_hat) in zip(callback.batches, callback.losses, callback.outputs, strict=True):
        torch.testing.assert_close(batch["h"], h, check_dtype=True)
        torch.testing.assert_close(batch["x_hat"], x_hat)
        torch.testing.assert_close(batch["loss"], loss)
