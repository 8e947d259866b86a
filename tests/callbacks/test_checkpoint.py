import itertools
import os
import shutil
from types import SimpleNamespace

import pytest

from polysemantic import Ensemble, fit
from polysemantic.callbacks import Checkpoint
from polysemantic.callbacks import checkpoint as module
from polysemantic.data import OneHot
from polysemantic.storage.checkpoints import read_checkpoint


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("every_n_seconds", "seconds_each"), [(0.0, 1.0), (60.0, 0.1), (0.0, 20.0)])
def test_checkpoints_cost_below_three_hundredths_of_a_run(tmp_path, monkeypatch, every_n_seconds, seconds_each):
    now, saved = [0.0], []

    def save(path):
        now[0] += seconds_each
        saved.append(now[0])

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(module, "run_directory", lambda trainer: tmp_path)
    trainer = SimpleNamespace(global_step=0, world_size=1, is_global_zero=True, ckpt_path=None, save_checkpoint=save)
    checkpoint = Checkpoint(every_n_seconds)
    checkpoint.on_train_start(trainer, None)
    while now[0] < 10_000:
        now[0] += 0.25
        trainer.global_step += 1
        checkpoint.on_train_batch_end(trainer, None, None, None, 0)
    assert len(saved) > 5
    assert len(saved) * seconds_each < 0.03 * now[0]
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
        module._keep(tmp_path / "last", tmp_path / "previous")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"last": "last", "previous": "previous"}
