import functools
import os
import signal

import pandas as pd
import pytest

import polysemantic
from polysemantic.callbacks import CollisionTracker, Snapshots
from tests.support.faults import at_step, run
from tests.support.tables import without_run

pytestmark = pytest.mark.usefixtures("unchecked")


def send(number, trainer):
    os.kill(os.getpid(), number)


def in_a_job(programs, *, ends=False):
    """A job of one task, which SLURM may warn between two callbacks and then end."""
    for name in ("TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK", "WORLD_SIZE", "GROUP_RANK"):
        os.environ.pop(name)
    told = {"JOB_ID": 1, "JOB_NAME": "fit", "NTASKS": 1, "NNODES": 1, "LOCALID": 0, "PROCID": 0, "NODEID": 0}
    os.environ |= {f"SLURM_{name}": str(value) for name, value in told.items()}
    os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
    if ends:
        at_step(Snapshots, "act", 400, functools.partial(send, signal.SIGUSR1))
        at_step(CollisionTracker, "act", 600, functools.partial(send, signal.SIGTERM))


def test_a_job_that_is_requeued_goes_on_and_nothing_else_goes_on_from_it(tmp_path, whole, befell):
    programs, root = tmp_path / "programs", tmp_path / "runs"
    programs.mkdir()
    (programs / "scontrol").write_text(f"#!/bin/sh\necho $@ >> {programs}/asked.txt\n")
    (programs / "scontrol").chmod(0o755)
    statuses, said = run(root, prepare=functools.partial(in_a_job, programs, ends=True))
    assert statuses == [143], said
    assert (programs / "asked.txt").read_text() == "requeue 1\n"
    statuses, said = run(root, "--trainer.max_steps=1", "--model.l1=0.5", prepare=functools.partial(in_a_job, programs))
    assert statuses == [0], said
    assert polysemantic.load(root / "lightning_logs/version_1").history["step"].tolist() == [0] * 4 + [1] * 4
    statuses, said = run(root, prepare=functools.partial(in_a_job, programs))
    assert statuses == [0], said
    requeued = polysemantic.load(root / "lightning_logs/version_2")
    for name in ("results", "history", "collisions"):
        one, other = (without_run(getattr(run, name)) for run in (requeued, whole))
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert not (root / "lightning_logs/version_2/weights/step_000000000.npz").exists()
    befell("SLURM requeues", "went on from between two steps, and ended bit-equal; another run began again")
