import random
import time
from typing import ClassVar

import pytest
import torch
from lightning.pytorch import Callback

import polysemantic
from polysemantic.data import OneHot
from polysemantic.engine.base import Plan, PlannedEngine
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


class Recording(PlannedEngine):
    """Takes no step, and notes the blocks in which an engine would take them that takes 25 at a time."""

    name = "recording"
    blocks: ClassVar[list[int]] = []

    @classmethod
    def supports(cls, problem):
        return True

    def run(self, steps, batches, *, with_loss=True):
        self.blocks.extend([25] * (steps // 25) + [1] * (steps % 25))
        return torch.zeros(2) if with_loss else None


class Waiting(Watching):
    """Another class, as the trainer keeps one state for each."""


def blocks_of_a_run(seed, monkeypatch):
    """The blocks of a run on a machine whose speed changes all the time."""
    passing, waited = Watching(True), Waiting(False)
    passing.every_n_steps, waited.every_n_steps = 1010, 2530
    clock, now = random.Random(seed), [0.0]

    def tick():
        now[0] += clock.expovariate(2)
        return now[0]

    monkeypatch.setattr(time, "perf_counter", tick)
    Recording.blocks.clear()
    module = EnsembleModule(8, 6, Ensemble(2))
    module.plan = Plan(Recording)
    options = {"accelerator": "cpu", "enable_progress_bar": False, "max_steps": 10_010}
    build_trainer([passing, waited], None, logged=False, **options).fit(module, datamodule=OneHot(8))
    assert sum(Recording.blocks) == 10_010
    return list(Recording.blocks)


def test_which_steps_go_together_never_depends_on_time(monkeypatch):
    expected = blocks_of_a_run(0, monkeypatch)
    assert expected.count(1) < 250
    for seed in range(1, 8):
        assert blocks_of_a_run(seed, monkeypatch) == expected


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
