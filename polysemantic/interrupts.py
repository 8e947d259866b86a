from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType


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
    """Signals that wait until they are asked for, so that several processes can act on them at the same step.

    Args:
        numbers: The signals.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._received: list[int] = []
        self._before = {}
        for number in numbers:
            try:
                self._before[number] = signal.signal(number, self._receive)
            except ValueError:  # not in the main thread, which alone receives signals
                return

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._received.append(number)

    def take(self) -> int:
        """The first signal that was received and not yet taken; 0 if there is none."""
        return self._received.pop(0) if self._received else 0

    def handle(self, number: int) -> None:
        """Do what would have been done at once."""
        before = self._before.get(number)
        if callable(before):
            before(number, None)

    def release(self) -> None:
        """Let signals act at once again."""
        for number, before in self._before.items():
            # Somebody may since have chosen to pass over it.
            if signal.getsignal(number) == self._receive:
                signal.signal(number, before)
        self._before.clear()
