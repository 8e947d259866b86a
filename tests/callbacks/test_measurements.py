import pytest
import torch
from lightning.pytorch import Trainer

from polysemantic.callbacks import Measurements, measurements
from polysemantic.data import HalfSplit, OneHot
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


def trained(data, **model):
    callback = Kept(5)
    module = EnsembleModule(data.n_features, 8, Ensemble(seeds=5), compile=False, **model)
    off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    Trainer(max_steps=5, accelerator="cpu", callbacks=[callback], **off).fit(module, datamodule=data)
    return callback


DATA = [lambda: OneHot(12), lambda: OneHot(12, batch_size=300), lambda: HalfSplit(12, active_fraction=0.5)]


MODELS = [{}, {"tied": False, "l1": 0.1}, {"act": "relu", "bias": True, "importance": 0.9}]


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_instances_measured_together_or_apart_have_the_same_values(monkeypatch, data, model):
    together = trained(data(), **model).latest
    monkeypatch.setattr(measurements, "_AT_ONCE", 2 * 12 * (12 + 8))  # blocks of 2, 2 and 1
    apart = trained(data(), **model).latest
    for column, values in together.items():
        torch.testing.assert_close(apart[column], values, equal_nan=True, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_evaluation_gives_what_the_networks_give(data, model):
    callback = trained(data(), **model)
    for batch, loss, (h, x_hat) in zip(callback.batches, callback.losses, callback.outputs, strict=True):
        torch.testing.assert_close(batch["h"], h, check_dtype=True)
        torch.testing.assert_close(batch["x_hat"], x_hat)
        torch.testing.assert_close(batch["loss"], loss)
