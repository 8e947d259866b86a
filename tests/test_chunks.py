import pytest
import torch
from lightning.pytorch import Callback

from polysemantic.callbacks.steps import StepCallback
from polysemantic.data import OneHot
from polysemantic.ensemble import Ensemble
from polysemantic.module import EnsembleModule
from polysemantic.trainer import build_trainer

pytestmark = pytest.mark.usefixtures("unchecked")


class Watching(StepCallback):
    """Notes the weights at every third step, and ends the run at one of them if told to."""

    def __init__(self, in_passing, last=None):
        super().__init__(every_n_steps=3)
        self.in_passing = in_passing
        self.last = last
        self.seen = {}

    def act(self, trainer, module):
        self.seen[trainer.global_step] = module.networks.W_enc.detach().clone()
        trainer.should_stop |= trainer.global_step == self.last


class Returns(Callback):
    """Notes the steps at which training returned to the trainer."""

    def __init__(self):
        self.steps = []

    def on_train_batch_end(self, trainer, *_):
        self.steps.append(trainer.global_step)


def train(*callbacks):
    module = EnsembleModule(8, 6, Ensemble(2), inner_steps=10, noise_std=0.1)
    options = {"accelerator": "cpu", "enable_progress_bar": False, "max_steps": 25}
    build_trainer(list(callbacks), None, logged=False, **options).fit(module, datamodule=OneHot(8))
    return module


def test_a_callback_in_passing_sees_what_one_that_is_waited_for_sees():
    waited, passing, returns = Watching(False), Watching(True), Returns()
    train(waited)
    train(passing, returns)
    assert list(passing.seen) == [0, 3, 6, 9, 12, 15, 18, 21, 24, 25] == list(waited.seen)
    for step, weights in waited.seen.items():
        torch.testing.assert_close(weights, passing.seen[step], rtol=0, atol=0)
    assert returns.steps == [10, 20, 25]


@pytest.mark.parametrize("in_passing", [False, True])
def test_a_run_that_is_ended_between_two_steps_ends_there(in_passing):
    returns = Returns()
    watching = Watching(in_passing, last=6)
    train(watching, returns)
    assert returns.steps[-1] == max(watching.seen) == 6
