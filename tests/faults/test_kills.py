import multiprocessing
import os
import random
import signal
import time

import pytest

from tests.support.faults import PATIENCE, assert_nothing_lost, assert_whole_files, end, go_on

pytestmark = pytest.mark.usefixtures("unchecked")

# What a process ends with: a signal that comes before training ends it as it ends any program.
STATUSES = {
    signal.SIGKILL: {-signal.SIGKILL},
    signal.SIGTERM: {143, -signal.SIGTERM},
    signal.SIGINT: {1},
}
SECONDS = 1.6


def starts(root):
    """How often processes found one another and began: each time writes events of its own."""
    return len(list(root.glob("lightning_logs/*/events.*")))


def strike(processes, number, draw, root, before):
    """Send a signal to one of the processes at a random moment; which one, or None if it came too late."""
    # Before they have found one another, what started them has to end them: torchrun does, and so does Lightning.
    while len(processes) > 1 and starts(root) == before and all(process.is_alive() for process in processes):
        time.sleep(0.01)
    victim = draw.choice(processes)
    victim.join(draw.uniform(0, SECONDS))
    if not victim.is_alive():
        return None
    os.kill(victim.pid, number)
    return processes.index(victim)


def kill_and_go_on(root, whole, number, ranks, kills, befell):
    seed = int.from_bytes(os.urandom(4))
    draw, done, chain = random.Random(seed), 0, 0
    befell(f"{number.name} to one of {ranks}, seed {seed}", "the seed of the moments")
    while done < kills:
        chain += 1
        while True:
            before = starts(root / str(chain))
            processes = go_on(root / str(chain), ranks=ranks)
            struck = None if done == kills else strike(processes, number, draw, root / str(chain), before)
            began = time.monotonic()
            statuses, said = end(processes, root / str(chain))
            if statuses == [0] * ranks:
                break
            assert struck is not None, said
            assert statuses[struck] in STATUSES[number], said
            assert time.monotonic() - began < PATIENCE, said
            assert_whole_files(root / str(chain))
            befell(f"{number.name} to one of {ranks}", "continued, and ended bit-equal to the whole run")
            done += 1
        assert_nothing_lost(whole, root / str(chain))
    assert multiprocessing.active_children() == []


KILLS = [
    (signal.SIGKILL, 1, 3), (signal.SIGKILL, 2, 2), (signal.SIGTERM, 1, 2),
    *(pytest.param(number, ranks, 15, marks=pytest.mark.slow) for number in STATUSES for ranks in (1, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("number", "ranks", "kills"), KILLS)
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path, whole, number, ranks, kills, befell):
    kill_and_go_on(tmp_path, whole, number, ranks, kills, befell)
