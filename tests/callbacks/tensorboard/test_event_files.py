import os
import time
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from polysemantic.callbacks.tensorboard.event_files import event_writer


def write(directory, monkeypatch, steps, second=1_800_000_000, pid=10, number=0, **options):
    """Points drawn by a process at a given second."""
    clock = SimpleNamespace(time=lambda: second, sleep=time.sleep)
    monkeypatch.setattr(event_file_writer, "time", clock)
    monkeypatch.setattr(event_file_writer, "os", SimpleNamespace(path=os.path, getpid=lambda: pid))
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(number))
    with event_writer(directory, **options) as writer:
        for step in steps:
            writer.add_scalar("a", step, step)


def shown(directory):
    events = EventAccumulator(str(directory)).Reload()
    return [event.step for event in events.Scalars("a")]


ORDERS = {
    "one second apart": {"second": 1_800_000_001},
    "another process, larger as a number, smaller as text": {"pid": 100},
    "an earlier process": {"pid": 0},
    "another file, larger as a number, smaller as text": {"number": 10},
    "a clock that is behind": {"second": 1_799_999_000},
}


@pytest.mark.parametrize("second", ORDERS.values(), ids=ORDERS)
def test_what_is_drawn_anew_takes_the_place_of_what_was_drawn_before(tmp_path, monkeypatch, second):
    first = {"pid": 99, "number": 9}
    write(tmp_path, monkeypatch, [0, 1, 2, 3], **first)
    write(tmp_path, monkeypatch, [2, 3, 4], purge_step=2, **first | second)
    write(tmp_path, monkeypatch, [4, 5], purge_step=4, **first | second | {"number": 11})
    assert shown(tmp_path) == [0, 1, 2, 3, 4, 5]


def test_what_is_drawn_at_the_end_stays(tmp_path, monkeypatch):
    write(tmp_path, monkeypatch, [0, 1], number=9, purge_step=0)
    write(tmp_path, monkeypatch, [2], number=10, filename_suffix=".end")
    assert shown(tmp_path) == [0, 1, 2]
