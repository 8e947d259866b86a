import functools
import os
import signal
import sys

import pytest

import polysemantic
from polysemantic.callbacks import Checkpoint, CollisionTracker, Convergence, Results, Survival
from polysemantic.callbacks.checkpoint import link_or_copy
from tests.support.faults import assert_nothing_lost, at_step, begin, end, go_on, nothing, run

pytestmark = pytest.mark.usefixtures("unchecked")


def exit_at_once():
    """What programs that run others may set, and what tests of theirs may leave behind."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def terminate(trainer):
    os.kill(os.getpid(), signal.SIGTERM)


def terminated(moment, before):
    before()
    at_step(*moment, terminate)


SLOW = {"marks": pytest.mark.slow}
BETWEEN = [
    (CollisionTracker, exit_at_once), pytest.param(CollisionTracker, nothing, **SLOW),
    pytest.param(Convergence, exit_at_once, **SLOW), pytest.param(Checkpoint, exit_at_once, **SLOW),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "before"), BETWEEN)
def test_sigterm_between_two_callbacks_waits_for_the_others(tmp_path, whole, kind, before, befell):
    moment = (kind, "on_train_batch_end", 600)
    statuses, said = run(tmp_path, prepare=functools.partial(terminated, moment, before))
    assert statuses == [143], said
    assert said == [""]
    statuses, said = run(tmp_path, "--ckpt_path=last")
    assert statuses == [0], said
    assert_nothing_lost(whole, tmp_path)
    befell("SIGTERM between two callbacks", "143; continued, and ended bit-equal to the whole run")


# No multiple of what is measured at, so that the last step is measured because it is the last.
UNEVEN = "--trainer.max_steps=1190"


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    root = tmp_path_factory.mktemp("uneven")
    statuses, said = run(root, UNEVEN)
    assert statuses == [0], said
    return polysemantic.load(root / "lightning_logs" / "version_0")


MOMENTS = {
    "last steps": (Checkpoint, "on_train_batch_end", 1190),
    "end of training": (Checkpoint, "on_train_end", 1190),
    "results": (Results, "on_fit_end", 1190),
    "charts": (Survival, "on_fit_end", 1190),
}


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "last steps"),
        *(pytest.param(signal.SIGTERM, moment, **SLOW) for moment in ("end of training", "results", "charts")),
        *(pytest.param(number, moment, **SLOW) for number in (signal.SIGKILL, signal.SIGINT) for moment in MOMENTS),
    ],
)
def test_a_signal_at_the_end_costs_no_measurement(tmp_path, uneven, moment, number, befell):
    statuses, said = run(
        tmp_path, UNEVEN, prepare=functools.partial(at_step, *MOMENTS[moment], lambda _: os.kill(os.getpid(), number))
    )
    assert statuses[0] in {143, 1, -number}, said
    if number == signal.SIGTERM:
        assert "Traceback" not in said[0]
    statuses, said = run(tmp_path, UNEVEN, "--ckpt_path=last")
    assert statuses == [0], said
    assert_nothing_lost(uneven, tmp_path)
    befell(f"{signal.Signals(number).name} at the end", "continued, and ended bit-equal to the whole run")


@pytest.mark.parametrize("rank", [0, pytest.param(1, **SLOW)])
def test_sigterm_to_one_rank_while_training_ends_costs_nothing(tmp_path, whole, rank, befell):
    def strike(trainer):
        if trainer.global_rank == rank:
            terminate(trainer)

    prepare = functools.partial(at_step, Checkpoint, "on_train_end", 1200, strike)
    statuses, said = end(begin(tmp_path, ranks=2, prepare=prepare), tmp_path)
    assert statuses[rank] == 143, said
    assert statuses[1 - rank] == 0, said
    assert_nothing_lost(whole, tmp_path)
    statuses, said = end(go_on(tmp_path, ranks=2), tmp_path)
    assert statuses == [0, 0], said
    assert_nothing_lost(whole, tmp_path)
    befell("SIGTERM to one of 2 ranks as training ends", "results first, then 143; continued, and nothing changed")


def test_keeping_a_file_that_is_kept_already_leaves_nothing_beside_it(tmp_path):
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    last.write_text("content")
    for _ in range(2):
        link_or_copy(last, previous)
    assert previous.samefile(last)
    assert sorted(tmp_path.iterdir()) == [last, previous]
