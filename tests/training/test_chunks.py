import itertools
import random
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback

import polysemantic
from polysemantic.data import OneHot
from polysemantic.model.ensemble import Ensemble
from polysemantic.runtime.trainer import build_trainer
from polysemantic.storage.checkpoints import read_checkpoint
from polysemantic.training.module import EnsembleModule
from polysemantic.training.step_callback import StepCallback

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


def fit_small(directory, *callbacks, **options_of_trainer):
    """The same as a user would run it, with checkpoints."""
    trainer = {"default_root_dir": str(directory), "accelerator": "cpu", "enable_progress_bar": False}
    trainer |= options_of_trainer
    options = {"ensemble": Ensemble(2), "n_hidden": 6, "max_steps": 25, "inner_steps": 10}
    return polysemantic.fit(OneHot(8), callbacks=list(callbacks), trainer=trainer, **options)


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


@pytest.mark.parametrize("alone", [False, True])
def test_callbacks_among_the_options_of_the_trainer_act_too(alone, tmp_path):
    one, other = Returns(), Returns()
    run = fit_small(tmp_path, one, callbacks=other if alone else [other])
    assert one.steps == other.steps != []
    assert "callbacks" not in run.config["trainer"]


def test_which_steps_are_unrolled_together_never_depends_on_time():
    def blocks(lengths):
        """The blocks in which a run is stepped if chunks are to be so long."""
        module = EnsembleModule(8, 6)
        passing, waited = Watching(True), Watching(False)
        passing.act = waited.act = lambda *_: None
        passing.every_n_steps, waited.every_n_steps = 100, 250
        trainer = SimpleNamespace(callbacks=[passing, waited], max_steps=1000, global_step=0, should_stop=False)
        taken = []

        def advance(start, stop, **_):
            whole = range(start, stop - 31, 32)
            taken.extend([(at, 32) for at in whole] + [(at, 1) for at in range(start + 32 * len(whole), stop)])
            trainer.global_step = stop
            return stop

        module._trainer, module.advance, module.steps = trainer, advance, SimpleNamespace(unrolled=32)
        while trainer.global_step < 1000:
            module.inner_steps = next(lengths)
            module._train_chunk(trainer.global_step)
        return taken

    expected = blocks(itertools.repeat(1000))
    assert len(expected) < 150
    for seed in range(20):
        assert blocks(random.Random(seed).randint(1, 300) for _ in itertools.count()) == expected


def test_an_error_in_passing_leaves_a_checkpoint(tmp_path):
    class Failing(Watching):
        def act(self, trainer, module):
            if trainer.global_step == 6:
                raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fit_small(tmp_path, Failing(True))
    (checkpoint,) = tmp_path.glob("lightning_logs/version_0/checkpoints/last.ckpt")
    assert read_checkpoint(checkpoint)["global_step"] == 6


@pytest.mark.parametrize("in_passing", [False, True])
def test_a_run_that_is_ended_between_two_steps_ends_there(in_passing):
    returns = Returns()
    watching = Watching(in_passing, last=6)
    train(watching, returns)
    assert returns.steps[-1] == max(watching.seen) == 6
