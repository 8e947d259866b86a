from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor
from typing_extensions import override

from polysemantic.callbacks.collisions.tracker import CollisionTracker
from polysemantic.callbacks.convergence import Convergence
from polysemantic.callbacks.costly import CostlyMeasurements
from polysemantic.callbacks.directory import run_directory
from polysemantic.callbacks.measurements import Measurements
from polysemantic.results import tables
from polysemantic.storage.files import write_parquet
from polysemantic.theory import expected_polysemantic_neurons


class Results(Callback):
    """Writes `results.parquet` and `history.parquet` at the end, `test.parquet` after a test, and prints the table.

    Args:
        measurements: The callback that measures.
        convergence: The callback that knows when instances stopped changing, or diverged.
        collisions: The callback that follows collisions.
        costly: The callback that measures what takes longer.
        quiet: Whether to print nothing.
    """

    def __init__(
        self,
        measurements: Measurements,
        convergence: Convergence,
        collisions: CollisionTracker,
        costly: CostlyMeasurements,
        *,
        quiet: bool = False,
    ) -> None:
        self.quiet = quiet
        self.measurements = measurements
        self.convergence = convergence
        self.collisions = collisions
        self.costly = costly
        self.table = pd.DataFrame()

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.is_global_zero:
            history = self.measurements.history_table(_labels(pl_module))
            write_parquet(run_directory(trainer) / "history.parquet", history)
            results = self._conclude(pl_module, self.measurements.latest, trainer.global_step)
            self._write(trainer, "results", results)

    def _conclude(self, module: Any, columns: dict[str, Tensor], step: int) -> pd.DataFrame:
        """The table of results, once it is printed."""
        expected = expected_polysemantic_neurons(module.n_features, module.n_hidden)
        inputs = module.data.of(slice(None))
        exposures = step * inputs.batch_size * inputs.marginals().mean(-1).cpu()
        diverged = self.convergence.diverged_step >= 0
        measured = {name: v.masked_fill(diverged, torch.nan) for name, v in (self.collisions.columns | columns).items()}
        ends = self.convergence.columns
        whole = self.measurements.whole | ends.keys() | self.collisions.columns.keys()
        table = tables.with_columns(_labels(module).assign(step=step), ends | measured, whole)
        companions = inputs.expected_companions().nanmean(-1).cpu()
        table = table.assign(
            expected_polysemantic_neurons=expected,
            exposures=exposures.numpy(),
            expected_companions=companions.numpy(),
        )
        Console(quiet=self.quiet).print(tables.summary(table, list(module.ensemble.vary)))
        self.table = table
        return table

    @override
    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.measurements.begin(pl_module)

    @override
    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.measurements.update(batch)

    def _measured(self, module: Any) -> dict[str, Tensor]:
        return self.measurements.compute() | self.costly.measure(module)

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        measured = self._measured(pl_module)
        if trainer.is_global_zero:
            self._conclude(pl_module, measured, pl_module.trained_steps)

    @override
    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.on_validation_epoch_start(trainer, pl_module)

    @override
    def on_test_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    @override
    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        measured = self._measured(pl_module)
        if trainer.is_global_zero:
            results = self._conclude(pl_module, measured, pl_module.trained_steps)
            self._write(trainer, "test", results)

    def _write(self, trainer: Trainer, name: str, results: pd.DataFrame) -> None:
        directory = run_directory(trainer)
        write_parquet(directory / f"{name}.parquet", results)
        # soft_wrap: a path is for copying, however narrow the terminal.
        Console(quiet=self.quiet).print(f"run directory: {directory}", soft_wrap=True, highlight=False)


def _labels(module: Any) -> pd.DataFrame:
    return tables.labels(module.ensemble, module.n_features, module.n_hidden, type(module.data).__name__)
