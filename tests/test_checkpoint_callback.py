import itertools
from types import SimpleNamespace

import pytest

from polysemantic.callbacks import Checkpoint
from polysemantic.callbacks import checkpoint as module


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
