from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from typing_extensions import override

from polysemantic.callbacks.collisions.tracker import CollisionTracker
from polysemantic.callbacks.convergence import Convergence
from polysemantic.callbacks.directory import run_directory
from polysemantic.callbacks.tensorboard.event_files import end_writer, event_writer
from polysemantic.results.lifetimes import Lifetimes, lifetimes, summary

_POINTS = 200


class Survival(Callback):
    """Shows how long collisions last, at the end of the fit: as a table, and as survival curves in TensorBoard.

    The curves' axis counts steps since birth (`survival/all`) or settlement (`survival/settled`). Median lives and
    resolution rates stand at the last step of the run, between the ends of their intervals.

    Args:
        collisions: The callback that follows the collisions.
        convergence: The callback that knows which instances diverged, whose collisions are left out.
        quiet: Whether to leave the table out.
    """

    def __init__(self, collisions: CollisionTracker, convergence: Convergence, *, quiet: bool = False) -> None:
        self.collisions = collisions
        self.convergence = convergence
        self.quiet = quiet

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self.collisions.whole is None or not trainer.is_global_zero:
            return
        diverged = (self.convergence.diverged_step >= 0).nonzero().flatten().tolist()
        table = self.collisions.whole.table()
        rows = lifetimes(table[~table["instance"].isin(diverged)], pl_module.ensemble, pl_module.seed)
        if isinstance(trainer.logger, TensorBoardLogger):
            for point in dict.fromkeys(row.point for row in rows):
                run = f"{run_directory(trainer)}/{'' if point == 'all' else f'{point}/'}"
                of_point = [row for row in rows if row.point == point]
                _draw_curves(of_point, f"{run}survival")
                _draw_ends(of_point, run, trainer.global_step)
        if any(row.lives for row in rows):
            Console(quiet=self.quiet).print(summary(rows, len(diverged)))


def _draw_curves(rows: list[Lifetimes], run: str) -> None:
    # A resumed run draws its end anew.
    with event_writer(run, purge_step=0) as writer:
        for row in rows:
            times, survival = np.append(0, row.curve.times), np.append(1, row.curve.survival)
            shown = np.unique(np.linspace(0, len(times) - 1, min(_POINTS, len(times))).round().astype(int))
            for at in shown:
                writer.add_scalar(f"survival/{row.kind}", survival[at], int(times[at]))


def _draw_ends(rows: list[Lifetimes], run: str, step: int) -> None:
    for curve in ("mean", "low", "high"):
        with end_writer(Path(f"{run}{curve}"), "end") as writer:
            for row in rows:
                for name in ("median_life", "resolution_rate"):
                    number = getattr(row, name if curve == "mean" else f"{name}_interval")
                    number = number if curve == "mean" else getattr(number, curve)
                    if np.isfinite(number):
                        writer.add_scalar(f"survival/{name}_{row.kind}", number, step)
