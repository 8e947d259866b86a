"""Signals that are deferred until a point at which a run can be saved as a whole."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lightning.pytorch.utilities.exceptions import SIGTERMException

# SIGTERM and SIGINT end a run. SLURM sends SIGUSR1 or SIGUSR2, at which Lightning requeues the job.
_DEFERRED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Defer SIGINT (Ctrl-C) until the block has ended, so that no step of training is left half taken."""
    pending: list[tuple[int, FrameType | None]] = []
    try:
        previous = signal.signal(signal.SIGINT, lambda number, frame: pending.append((number, frame)))
    except ValueError:  # Only the main thread can set handlers, and only it receives signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if pending and callable(previous):
        previous(*pending[0])


class DeferredSignals:
    """A queue of received signals, so that a run handles them between two steps.

    Processes that train together can then handle a signal at the same step. Only signals that have a Python handler are
    deferred. Lightning restores the handlers of before the fit by itself.
    """

    def __init__(self) -> None:
        self._pending: list[int] = []
        self._previous: dict[int, Any] = {}
        for number in _DEFERRED:
            if callable(signal.getsignal(number)):
                try:
                    self._previous[number] = signal.signal(number, self._receive)
                except ValueError:  # Only the main thread can set handlers, and only it receives signals.
                    return

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._pending.append(number)

    def take(self) -> int:
        """Remove the oldest signal from the queue and return its number, or 0 if the queue is empty."""
        return self._pending.pop(0) if self._pending else 0

    def handle(self, number: int) -> None:
        """End the run at SIGTERM; call the previous handler of any other signal. 0 does nothing.

        Raises:
            SIGTERMException: At SIGTERM.
        """
        if number == signal.SIGTERM:
            raise SIGTERMException
        previous = self._previous.get(number)
        if callable(previous):
            previous(number, None)
