import itertools
import os
import shutil

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from polysemantic import Ensemble, EnsembleModule, fit
from polysemantic.callbacks import Checkpoint
from polysemantic.callbacks.checkpoint import link_or_copy
from polysemantic.data import OneHot
from polysemantic.storage.checkpoints import read_checkpoint


class SlowTrainer(Trainer):
    """A trainer that is told its step and the time, and takes a while to save."""

    global_step = 0

    def __init__(self, root, seconds_each):
        super().__init__(accelerator="cpu", logger=CSVLogger(root), enable_checkpointing=False)
        self.seconds_each, self.now, self.saved = seconds_each, 0.0, []

    def save_checkpoint(self, filepath):
        self.now += self.seconds_each
        self.saved.append(self.now)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("every_n_seconds", "seconds_each"), [(0.0, 1.0), (60.0, 0.1), (0.0, 20.0)])
def test_checkpoints_cost_below_three_hundredths_of_a_run(tmp_path, every_n_seconds, seconds_each):
    trainer, checkpoint = SlowTrainer(tmp_path, seconds_each), Checkpoint(every_n_seconds)
    checkpoint.clock = lambda: trainer.now
    module = EnsembleModule(n_features=2, n_hidden=2)
    checkpoint.on_train_start(trainer, module)
    while trainer.now < 10_000:
        trainer.now += 0.25
        trainer.global_step += 1
        checkpoint.on_train_batch_end(trainer, module, None, None, 0)
    saved = trainer.saved
    assert len(saved) > 5
    assert len(saved) * seconds_each < 0.03 * trainer.now
    assert all(later - earlier >= every_n_seconds for earlier, later in itertools.pairwise(saved))


@pytest.fixture
def one_name(monkeypatch):
    """A filesystem whose files have one name each."""

    def refuse(source, target):
        raise PermissionError(1, "Operation not permitted", source)

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("unchecked", "one_name")
def test_two_checkpoints_are_kept_where_a_file_has_one_name(tmp_path):
    trainer = {"default_root_dir": str(tmp_path), "enable_progress_bar": False}
    options = {"ensemble": Ensemble(2), "n_hidden": 4, "max_steps": 60, "inner_steps": 10}
    run = fit(OneHot(4), **options, checkpoint=Checkpoint(0.0), trainer=trainer)
    checkpoints = {
        path.stem: read_checkpoint(path)["global_step"] for path in (run.directory / "checkpoints").iterdir()
    }
    assert checkpoints.keys() == {"last", "previous"}
    assert checkpoints["previous"] < checkpoints["last"] == 60


@pytest.mark.usefixtures("one_name")
def test_a_copy_that_fails_leaves_both_checkpoints(tmp_path, monkeypatch):
    def fail(source, target):
        target.write(b"half")
        raise OSError(28, "No space left on device")

    for name in ("last", "previous"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(shutil, "copyfileobj", fail)
    with pytest.raises(OSError, match="No space left on device"):
        link_or_copy(tmp_path / "last", tmp_path / "previous")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"last": "last", "previous": "previous"}
