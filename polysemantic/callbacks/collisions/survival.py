from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from typing_extensions import override

from polysemantic.callbacks.collisions.tracker import CollisionTracker
from polysemantic.callbacks.convergence import Convergence
from polysemantic.results.lifetimes import Lifetimes, lifetimes, summary
from polysemantic.training.module import ensemble_module


class Survival(Callback):
    """Estimates at the end of the fit how long collisions last, and prints a table of it.

    `rows` holds the Kaplan-Meier estimates with bootstrap intervals, two rows for each grid point, on the first process
    only. It is empty until the fit has ended.

    Args:
        collisions: The callback that follows the collisions.
        convergence: The callback that knows which instances diverged. Their collisions are left out.
        quiet: Whether to print no table.
    """

    def __init__(self, collisions: CollisionTracker, convergence: Convergence, *, quiet: bool = False) -> None:
        self.collisions = collisions
        self.convergence = convergence
        self.quiet = quiet
        self.rows: list[Lifetimes] = []

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.rows = []
        if self.collisions.whole is None or not trainer.is_global_zero:
            return
        module = ensemble_module(pl_module)
        diverged = (self.convergence.diverged_step >= 0).nonzero().flatten().tolist()
        table = self.collisions.whole.table()
        self.rows = lifetimes(table[~table["instance"].isin(diverged)], module.ensemble, module.seed)
        if any(row.lives for row in self.rows):
            Console(quiet=self.quiet).print(summary(self.rows, len(diverged)))
