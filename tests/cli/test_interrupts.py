import signal
import sys
import time

import pytest

import polysemantic
from tests.support.cli_runs import FIT, RUNS, assert_same_run, finish, scalars

INTERRUPT = """
import os, signal, time
from pathlib import Path
from lightning.pytorch import Callback

class AtStep40(Callback):
    def on_train_batch_end(self, trainer, *args):
        if trainer.global_step < 40:
            return
        if (number := os.environ.get("INTERRUPT")) is not None:
            os.kill(os.getpid(), int(number))
        elif os.environ.get("WAIT"):
            Path("waiting").touch()
            while not Path("go").exists():
                time.sleep(0.01)
"""
INTERRUPTED = [*FIT, "--trainer.callbacks+=interrupting.AtStep40"]
STATUS = {signal.SIGTERM: 143, signal.SIGINT: 1}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted")
    (directory / "interrupting.py").write_text(INTERRUPT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["polysemantic"])
        patch.syspath_prepend(directory)
        finish(directory, *INTERRUPTED)
        del sys.modules["interrupting"]
    return polysemantic.load(directory / RUNS / "version_0")


@pytest.fixture
def handlers():
    """Signal handlers as at a terminal, where nothing ignores Ctrl-C, and afterwards as they were."""
    before = {number: signal.getsignal(number) for number in STATUS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "ckpt_path"),
    [(signal.SIGTERM, "last"), (signal.SIGINT, RUNS / "version_0/checkpoints/last.ckpt")],
    ids=["SIGTERM, last", "SIGINT, file"],
)
def test_an_interrupted_run_resumes_as_if_nothing_had_happened(
    number, ckpt_path, uninterrupted, run_cli, here, handlers, monkeypatch
):
    (here / "interrupting.py").write_text(INTERRUPT)
    monkeypatch.setenv("INTERRUPT", str(int(number)))
    assert run_cli(*INTERRUPTED).status == STATUS[number]
    assert not (RUNS / "version_0/results.parquet").exists()
    monkeypatch.delenv("INTERRUPT")
    answer = run_cli(*INTERRUPTED, f"--ckpt_path={ckpt_path}")
    assert answer.status == 0, answer.err
    assert not (RUNS / "version_1").exists()
    assert_same_run(uninterrupted, polysemantic.load(RUNS / "version_0"))
    # Nothing is drawn twice.
    shown = scalars(RUNS / "version_0/mean")["collisions/polysemantic_neurons"]
    assert [step for step, _ in shown] == list(range(0, 101, 25))


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)],
    ids=lambda number: number.name,
)
def test_a_signal_from_outside_leaves_a_checkpoint_to_resume_from(
    number, uninterrupted, start_cli, run_cli, here, monkeypatch
):
    (here / "interrupting.py").write_text(INTERRUPT)
    monkeypatch.setenv("WAIT", "1")
    process = start_cli(*INTERRUPTED)
    until = time.monotonic() + 120
    while not (here / "waiting").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(number)
    (here / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == STATUS[number], err
    # What happens in every run is none of the user's business.
    assert "Traceback" not in err
    assert "arning" not in err
    assert "deprecated" not in err
    monkeypatch.delenv("WAIT")
    assert run_cli(*INTERRUPTED, "--ckpt_path=last").status == 0
    assert_same_run(uninterrupted, polysemantic.load(RUNS / "version_0"))


def test_previous_checkpoint_is_the_one_before_the_last(run, run_cli):
    before = (run[0] / "checkpoints/last.ckpt").read_bytes()
    longer = [option for option in FIT if "max_steps" not in option]
    answer = run_cli(*longer, "--trainer.max_steps=120", f"--ckpt_path={run[0] / 'checkpoints/last.ckpt'}")
    assert answer.status == 0, answer.err
    assert (run[0] / "checkpoints/previous.ckpt").read_bytes() == before
    assert polysemantic.load(run[0]).results["step"].tolist() == [120] * 3
