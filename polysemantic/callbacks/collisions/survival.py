from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Group
from typing_extensions import override

from polysemantic.callbacks.collisions.tracker import CollisionTracker
from polysemantic.callbacks.convergence import Convergence
from polysemantic.results.lifetimes import Lifetimes, lifetimes, summary
from polysemantic.training.module import ensemble_module


class Survival(Callback):
    """Estimates at the end of the fit how long collisions last.

    `rows` holds the Kaplan-Meier estimates with bootstrap intervals, two rows for each grid point, on the first process
    only. It is empty until the fit has ended.

    Args:
        collisions: The callback that follows the collisions.
        convergence: The callback that knows which instances diverged. Their collisions are left out.
    """

    def __init__(self, collisions: CollisionTracker, convergence: Convergence) -> None:
        self.collisions = collisions
        self.convergence = convergence
        self.rows: list[Lifetimes] = []
        self._diverged = 0

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.rows = []
        if self.collisions.whole is None or not trainer.is_global_zero:
            return
        module = ensemble_module(pl_module)
        diverged = (self.convergence.diverged_step >= 0).nonzero().flatten().tolist()
        table = self.collisions.whole.table()
        self.rows = lifetimes(table[~table["instance"].isin(diverged)], module.ensemble, module.seed)
        self._diverged = len(diverged)

    @property
    def shown(self) -> Group | None:
        """The table for a terminal; None before the end of the fit, or if no two features ever shared a neuron."""
        return summary(self.rows, self._diverged) if any(row.lives for row in self.rows) else None
