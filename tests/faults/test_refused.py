import functools
import os
import signal

import pytest
import torch

from polysemantic.callbacks import Snapshots
from polysemantic.storage.checkpoints import SealedCheckpointIO
from tests.support.faults import assert_nothing_lost, at_step, begin, end, error_line, run, wait_for

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.slow
def test_two_runs_started_at_once_have_directories_of_their_own(tmp_path, whole, befell):
    first, second = begin(tmp_path), begin(tmp_path)
    for processes in (first, second):
        statuses, said = end(processes, tmp_path)
        assert statuses == [0], said
    for name in ("version_0", "version_1"):
        alone = tmp_path / name
        (alone / "lightning_logs").mkdir(parents=True)
        (tmp_path / "lightning_logs" / name).rename(alone / "lightning_logs" / name)
        assert_nothing_lost(whole, alone)
    befell("two runs started at once", "both ended bit-equal to the whole run, in directories of their own")


def wait_until(path, trainer):
    (path / "waits").touch()
    wait_for((path / "go").exists, [])


@pytest.mark.parametrize(
    "ckpt_path", ["last", pytest.param("lightning_logs/version_0/checkpoints/last.ckpt", marks=pytest.mark.slow)]
)
def test_a_run_that_is_being_trained_is_not_continued_by_another_process(tmp_path, whole, ckpt_path, befell):
    processes = begin(
        tmp_path, prepare=functools.partial(at_step, Snapshots, "act", 600, functools.partial(wait_until, tmp_path))
    )
    wait_for((tmp_path / "waits").exists, processes)
    statuses, said = run(tmp_path, f"--ckpt_path={ckpt_path}")
    assert statuses == [2], said
    assert "`ckpt_path` must lie in a run that no other process trains" in error_line(said[0])
    assert said[0].count("\n") == 1
    (tmp_path / "go").touch()
    statuses, said = end(processes, tmp_path)
    assert statuses == [0], said
    assert_nothing_lost(whole, tmp_path)
    befell("checkpoint continued twice at once", "the second refused in one line; the first ended bit-equal")


@pytest.fixture
def copied(tmp_path, whole):
    """A checkpoint of the whole run in a directory of its own."""
    checkpoint = torch.load(whole.directory / "checkpoints/last.ckpt", weights_only=True)
    run = tmp_path / "lightning_logs" / "version_0"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text((whole.directory / "config.yaml").read_text())
    return checkpoint, run / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize(
    ("changes", "option", "rule"),
    [
        ({"format": 0}, "--model.n_hidden=8", "must hold format 4, got 0."),
        ({}, "--model.n_hidden=9", "must hold n_hidden 9, got 8."),
        ({}, "--data.n_features=17", "must hold n_features 17, got 16."),
        ({}, "--ensemble.seeds=5", "must hold ensemble {'seeds': 5, 'vary': {}}, got {'seeds': 4, 'vary': {}}."),
        ({}, "--model.l1=0.7", "must hold l1 0.7, got 0.001."),
        ({"data": {"class": "Mine"}}, "--model.act=linear", "must hold data {'class': "),
    ],
    ids=["older format", "other neurons", "other features", "other ensemble", "other penalty", "other inputs"],
)
def test_a_checkpoint_of_something_else_is_one_line(tmp_path, copied, changes, option, rule, befell):
    checkpoint, path = copied
    checkpoint["polysemantic"] |= changes
    SealedCheckpointIO().save_checkpoint(checkpoint, path)
    before = path.read_bytes()
    statuses, said = run(tmp_path, option, f"--ckpt_path={path}")
    assert statuses == [2], said
    assert error_line(said[0]).startswith(f"error: `ckpt_path` {rule}")
    assert said[0].count("\n") == 1
    assert path.read_bytes() == before
    befell("checkpoint of other shapes, ensembles or formats", "one line")


@pytest.mark.parametrize("then", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_last_finds_the_run_whatever_the_number_of_processes(tmp_path, whole, then, befell):
    begun = 3 - then
    end_early = functools.partial(at_step, Snapshots, "act", 600, terminate)
    statuses, said = run(tmp_path, ranks=begun, prepare=end_early)
    assert statuses == [143] * begun, said
    statuses, said = run(tmp_path, "--ckpt_path=last", ranks=then)
    assert statuses == [0] * then, said
    assert_nothing_lost(whole, tmp_path)
    befell(f"SIGTERM on {begun}, continued on {then}", "ended bit-equal to the whole run")


def terminate(trainer):
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_run_without_a_checkpoint_is_said_to_have_none(tmp_path, befell):
    prepare = functools.partial(at_step, Snapshots, "act", 0, fail)
    statuses, said = run(tmp_path, prepare=prepare)
    assert statuses == [1], said
    for path in (tmp_path / "lightning_logs/version_0").glob("checkpoints/*"):
        path.unlink()
    statuses, said = run(tmp_path, "--ckpt_path=last")
    assert statuses == [2], said
    assert error_line(said[0]).endswith("got version_0, which ended before its first; begin again without `ckpt_path`.")
    befell("ended before its first checkpoint", "one line")


def fail(trainer):
    raise ValueError("a mistake of a callback")
