from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from typing_extensions import override

from polysemantic.sweep.reader import Config
from polysemantic.sweep.run import Outcome, note, run_cell

# Times that a run may lose the process it is in, by lack of memory for instance, before it counts as failed.
LOSSES = 5


class Task(NamedTuple):
    """The arguments of `run_cell`.

    Args:
        directory: The run directory.
        config: The resolved configuration.
        home: The directory that relative paths and the user's modules are in.
    """

    directory: Path
    config: Config
    home: Path


# Without an outcome, the task has begun.
Event = tuple[Task, Outcome | None]


class Engine(ABC):
    """Where runs are run."""

    @abstractmethod
    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Run each task once, in any order, and yield an event when a task begins and when it ends."""

    @abstractmethod
    def close(self) -> None:
        """End what is still running, at a checkpoint."""


class Embedded(Engine):
    """Runs one run after the other, in this process."""

    @override
    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        for task in tasks:
            yield task, None
            yield task, run_cell(*task)

    @override
    def close(self) -> None:
        """Nothing: nothing runs between two events."""


def lost(task: Task, reason: str) -> Outcome:
    """The failure of a run that takes its processes with it, written down in its stead."""
    error = f"`{task.directory.name}` must leave its process alive, got {LOSSES} times {reason}"
    note(task.directory, "failed", error)
    return Outcome("failed", error)


def run_all(engine: Engine, tasks: Iterable[Task], wait: Callable[[], None]) -> Iterator[Event]:
    """Run tasks until each is finished or failed, whoever else is at some of them.

    Args:
        engine: Where to run.
        tasks: What to run.
        wait: What to do before trying again the tasks that other processes are at.
    """
    left = list(tasks)
    while left:
        busy = []
        for task, outcome in engine.run(left):
            if outcome is not None and outcome.state == "busy":
                busy.append(task)
            yield task, outcome
        left = busy
        if left:
            wait()
