from __future__ import annotations

import collections
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import torch
from typing_extensions import override

from polysemantic.sweep.engines import LOSSES, Engine, Event, Task, lost
from polysemantic.sweep.run import Outcome, run_cell


class LocalWorkers(Engine):
    """Runs in processes of this machine, which share its threads.

    Args:
        n_workers: Processes.
    """

    def __init__(self, n_workers: int) -> None:
        # A pool of one process each: a killed process breaks its own pool and no other.
        self._threads = max(1, torch.get_num_threads() // n_workers)
        self._pools = [self._pool() for _ in range(n_workers)]

    def _pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(self._threads,))

    @override
    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Run each task once; a task whose process is killed goes on in another process."""
        waiting, free = collections.deque(tasks), list(range(len(self._pools)))
        running: dict[Future[Outcome], tuple[int, Task]] = {}
        losses: collections.Counter[str] = collections.Counter()
        while waiting or running:
            while waiting and free:
                at, task = free.pop(), waiting.popleft()
                running[self._pools[at].submit(run_cell, *task)] = (at, task)
                yield task, None
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                at, task = running.pop(future)
                free.append(at)
                try:
                    yield task, future.result()
                except BrokenProcessPool:
                    self._pools[at] = self._pool()
                    losses[task.directory.name] += 1
                    if losses[task.directory.name] < LOSSES:
                        waiting.appendleft(task)
                    else:
                        yield task, lost(task, "a process that was killed")

    @override
    def close(self) -> None:
        """End the processes; a process that trains writes a checkpoint first."""
        for child in multiprocessing.active_children():
            child.terminate()
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process by SIGTERM, so that its run is saved, when the process that started it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    while True:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
