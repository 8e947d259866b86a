import contextlib
import errno
import functools
import os
import resource
import shutil
import signal
import subprocess
import time

import pandas as pd
import pytest

import polysemantic
from polysemantic.callbacks import Checkpoint, Results, Snapshots
from tests.support.faults import (
    PATIENCE,
    assert_nothing_lost,
    assert_whole_files,
    at_step,
    error_line,
    killed,
    run,
)
from tests.support.ranks import assert_same_ends
from tests.support.tables import without_run

pytestmark = pytest.mark.usefixtures("unchecked")
LAST = "lightning_logs/version_0/checkpoints/last.ckpt"


def die_at_byte(size, trainer):
    """Let the kernel kill this process, as SIGKILL would, where a file grows beyond a size."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


@pytest.mark.slow
def test_a_kill_in_the_middle_of_writing_a_checkpoint_costs_this_checkpoint_alone(tmp_path, whole, befell):
    # Long after step 400, at which curves were written: these files have more than so many bytes already.
    die = functools.partial(at_step, Checkpoint, "save", 440, functools.partial(die_at_byte, 20_000))
    statuses, said = run(tmp_path, prepare=die)
    assert statuses == [-signal.SIGXFSZ], said
    (half,) = tmp_path.glob("lightning_logs/version_0/checkpoints/.last.ckpt.*.part")
    assert half.stat().st_size == 20_000 < (tmp_path / LAST).stat().st_size
    assert_whole_files(tmp_path)
    statuses, said = run(tmp_path, "--ckpt_path=last")
    assert statuses == [0], said
    assert_nothing_lost(whole, tmp_path)
    befell("killed while a checkpoint is written", "continued, and ended bit-equal to the whole run")


@pytest.fixture
def disk(tmp_path):
    """A disk of four megabytes."""
    root = tmp_path / "disk"
    root.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", root], check=False).returncode
    ):
        pytest.skip("a small disk can be mounted by root alone")
    yield root
    subprocess.run(["umount", "--lazy", root], check=True)


def fill(root, trainer):
    """Leave no byte on a disk."""
    with contextlib.suppress(OSError), (root / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


FULL = {
    "a checkpoint": (Checkpoint, "save", 400),
    "a snapshot": (Snapshots, "act", 400),
    "results": (Results, "on_fit_end", 0),
}
SLOW = {"marks": pytest.mark.slow}


@pytest.mark.parametrize("what", ["a checkpoint", *(pytest.param(what, **SLOW) for what in ("a snapshot", "results"))])
def test_a_disk_that_is_full_ends_a_run_that_can_be_continued(disk, whole, what, befell):
    statuses, said = run(disk, prepare=functools.partial(at_step, *FULL[what], functools.partial(fill, disk)))
    (disk / "filler").unlink()
    assert statuses == [1], said
    assert "No space left on device" in error_line(said[0])
    assert_whole_files(disk)
    statuses, said = run(disk, "--ckpt_path=last")
    assert statuses == [0], said
    assert_nothing_lost(whole, disk)
    befell(f"full disk while {what} is written", "one line; continued, and ended bit-equal to the whole run")


def remove(trainer):
    shutil.rmtree(trainer.logger.log_dir)


@pytest.mark.parametrize(
    ("kind", "method", "step"), [(Checkpoint, "save", 600), pytest.param(Snapshots, "act", 600, **SLOW)]
)
def test_a_run_directory_that_is_removed_is_made_again(tmp_path, whole, kind, method, step, befell):
    statuses, said = run(tmp_path, prepare=functools.partial(at_step, kind, method, step, remove))
    assert statuses == [0], said
    assert said[0].count("was removed and is made again") == 1
    made = polysemantic.load(tmp_path / "lightning_logs/version_0")
    assert made.config == whole.config | {"trainer": made.config["trainer"]}
    pd.testing.assert_frame_equal(without_run(made.results), without_run(whole.results), check_exact=True)
    pd.testing.assert_frame_equal(made.history, whole.history, check_exact=True)
    assert_same_ends(whole, made)
    befell("removed run directory", "made again; earlier snapshots lost")


def two_checkpoints(root):
    last, previous = (root / "lightning_logs/version_0/checkpoints" / f"{name}.ckpt" for name in ("last", "previous"))
    return previous.exists() and not previous.samefile(last)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "ckpt_path", "ranks"),
    [
        (flip, LAST, 1),
        pytest.param(truncate, "last", 1, **SLOW),
        pytest.param(flip, "last", 2, **SLOW),
        pytest.param(os.unlink, "last", 1, **SLOW),
    ],
    ids=["flipped", "truncated", "flipped, ranks", "missing"],
)
def test_a_damaged_checkpoint_is_found_and_the_one_before_continued(tmp_path, whole, damage, ckpt_path, ranks, befell):
    one = killed(tmp_path, functools.partial(two_checkpoints, tmp_path))
    damage(one / "checkpoints/last.ckpt")
    statuses, said = run(tmp_path, f"--ckpt_path={ckpt_path}", ranks=ranks)
    assert set(statuses) == {0}, said
    assert said[0].count("Going on from previous.ckpt beside it.\n") == 1
    assert_nothing_lost(whole, tmp_path)
    befell("damaged checkpoint", "found, said; continued from previous.ckpt, and ended bit-equal")


def test_two_damaged_checkpoints_are_one_line(tmp_path, befell):
    one = killed(tmp_path, functools.partial(two_checkpoints, tmp_path))
    for name in ("last.ckpt", "previous.ckpt"):
        truncate(one / "checkpoints" / name)
    statuses, said = run(tmp_path, "--ckpt_path=last")
    assert statuses == [2], said
    assert error_line(said[0]).endswith("previous.ckpt beside it is damaged too.")
    assert said[0].count("\n") == 1
    befell("two damaged checkpoints", "one line")


def fail_on_one(trainer):
    if trainer.global_rank == 1:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")


def test_an_error_of_one_rank_ends_the_others_at_once(tmp_path, whole, befell):
    prepare = functools.partial(at_step, Snapshots, "act", 400, fail_on_one)
    began = time.monotonic()
    statuses, said = run(tmp_path, ranks=2, prepare=prepare)
    assert time.monotonic() - began < PATIENCE
    assert statuses == [1, 1], said
    assert "another process of the run has ended" in error_line(said[0])
    assert "No space left on device" in error_line(said[1])
    statuses, said = run(tmp_path, "--ckpt_path=last", ranks=2)
    assert set(statuses) == {0}, said
    assert_nothing_lost(whole, tmp_path)
    befell("error on one of 2 ranks", "all ended; continued, and ended bit-equal to the whole run")
