from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lightning.pytorch.utilities.exceptions import SIGTERMException

# Those that end a run, and those by which SLURM has Lightning requeue it.
_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Hold back Ctrl-C until the block is done, so that what is saved then is a state that training passed through."""
    pressed: list[tuple[int, FrameType | None]] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append((number, frame)))
    except ValueError:  # not in the main thread, which alone receives signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed and callable(before):
        before(*pressed[0])


class Held:
    """Signals that wait until they are asked for, so that they act between steps, in several processes at the same one.

    They are those for which a handler of Python's was set. Lightning itself puts the handlers of before a fit back.
    """

    def __init__(self) -> None:
        self._received: list[int] = []
        self._before: dict[int, Any] = {}
        for number in _NUMBERS:
            if callable(signal.getsignal(number)):
                try:
                    self._before[number] = signal.signal(number, self._receive)
                except ValueError:  # not in the main thread, which alone receives signals
                    return

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._received.append(number)

    def take(self) -> int:
        """The first signal that was received and not yet taken; 0 if there is none."""
        return self._received.pop(0) if self._received else 0

    def act_on(self, number: int) -> None:
        """End the run at SIGTERM, and do what would have been done at once at any other signal.

        Raises:
            SIGTERMException: At SIGTERM.
        """
        if number == signal.SIGTERM:
            raise SIGTERMException
        before = self._before.get(number)
        if callable(before):
            before(number, None)
