import pytest
import torch
from lightning.pytorch import Trainer

from polysemantic import functional as F
from polysemantic.callbacks import Measurements, measurements
from polysemantic.data import HalfSplit, OneHot
from polysemantic.functional import count, shared, sharing
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule


def counted():
    """A shared function and how often it was computed."""
    calls = []

    @shared
    def total(W, other=None, factor=1.0):
        calls.append(factor)
        return factor * W.sum() + (0 if other is None else other.sum())

    return total, calls


def test_a_shared_value_is_computed_once_however_it_is_called():
    total, calls = counted()
    W = torch.ones(3)
    with sharing():
        values = [total(W), total(W, None), total(W, None, 1.0), total(W, factor=1.0), total(W=W)]
    assert len(calls) == 1
    assert all(value is values[0] for value in values)


def test_other_tensors_and_numbers_have_values_of_their_own():
    total, _ = counted()
    with sharing():
        values = [total(torch.full((3,), float(i))) for i in range(20)]  # temporaries, whose memory would come again
        W = torch.ones(3)
        assert [total(W).item(), total(W, W).item(), total(W, factor=2.0).item()] == [3, 6, 6]
    assert [value.item() for value in values] == [3 * i for i in range(20)]


def test_nothing_is_kept_without_sharing_or_after_it():
    total, calls = counted()
    W = torch.ones(3)
    total(W)
    with sharing():
        total(W)
    with sharing():
        total(W.mul_(2))
    assert total(W).item() == 6
    assert len(calls) == 4


@pytest.mark.parametrize("tied", [True, False])
def test_sharing_changes_no_value(tied):
    W_enc, W_dec = torch.randn(2, 12, 8), None if tied else torch.randn(2, 12, 8)
    w = F.effective_weight(W_enc, W_dec)
    measures = [F.privilege_z, F.participation_ratio, F.features_per_neuron, F.min_angle, F.l1_norm, F.coverage]
    alone = [measure(w) for measure in measures]
    with sharing():
        for measure, expected in zip(measures, alone, strict=True):
            assert torch.equal(measure(w), expected)


@pytest.mark.parametrize("length", [1, 255, 256, 1000])
@pytest.mark.parametrize("dim", [-1, -2])
def test_counts_do_not_overflow(length, dim):
    mask = torch.ones(2, length, length, dtype=torch.bool)
    mask[1] = torch.rand(length, length) < 0.9
    torch.testing.assert_close(count(mask, dim), mask.sum(dim), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 3, 500), (3, 500, 300)])
def test_power_sums_match_plain_sums(shape):
    w = torch.randn(shape)
    for dim in (-1, -2):
        second, fourth = F.power_sums(w, dim)
        torch.testing.assert_close(second, w.double().pow(2).sum(dim))
        torch.testing.assert_close(fourth, w.double().pow(4).sum(dim))


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
    module = EnsembleModule(data.n_features, 8, Ensemble(seeds=5), **model)
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
