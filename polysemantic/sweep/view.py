from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from polysemantic.results.sweeps import label
from polysemantic.sweep.plan import Cell
from polysemantic.sweep.run import Outcome

# Running cells that are named.
_NAMED = 8
_LONG = 10**6


class View:
    """Shows the progress of a sweep: cells done, running and failed, and the time left by their estimated cost.

    Where the output is no terminal, a line for each cell that ends.

    Args:
        seconds: For each cell by its hash, the estimated cost.
        done: Cells that were finished before.
    """

    def __init__(self, seconds: dict[str, float], done: int) -> None:
        self._seconds = seconds
        self._done, self._total = done, done + len(seconds)
        self._failed = 0
        self._running: dict[str, str] = {}
        # Keep this stream: while a run trains in this process, `sys.stdout` is another stream.
        self._console = Console(file=sys.stdout)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self._console, speed_estimate_period=_LONG)
        self._bar = self._progress.add_task("", total=sum(seconds.values()))
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> View:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    @property
    def counts(self) -> str:
        """How many cells are in which state."""
        return f"{self._done} of {self._total} done, {len(self._running)} running, {self._failed} failed"

    def _render(self) -> Group:
        self._progress.update(self._bar, description=self.counts)
        return Group(self._progress, *(Text(f"  {name}", "dim") for name in list(self._running.values())[:_NAMED]))

    def began(self, cell: Cell) -> None:
        """A cell is running."""
        self._running[cell.hash] = describe(cell)

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """A cell is finished, or failed, or another process's."""
        self._running.pop(cell.hash, None)
        if outcome.state == "busy":
            return
        self._done += outcome.state == "finished"
        self._failed += outcome.state == "failed"
        self._progress.advance(self._bar, self._seconds[cell.hash])
        if outcome.error is not None or not self._console.is_terminal:
            said = f"{outcome.state} {describe(cell)}{'' if outcome.error is None else f': {outcome.error}'}"
            self._console.print(f"{said} ({self.counts})", markup=False, highlight=False, soft_wrap=True)


def describe(cell: Cell) -> str:
    """A cell as text: its directory's name and the values that its ensemble does not hold."""
    fixed = (f"{key}={label(value)}" for key, value in cell.point.items() if key not in cell.moved)
    return " ".join([cell.hash, *fixed])
