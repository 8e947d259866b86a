from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor
from typing_extensions import override

from polysemantic.callbacks.collisions.survival import Survival
from polysemantic.callbacks.collisions.tracker import CollisionTracker
from polysemantic.callbacks.convergence import Convergence
from polysemantic.callbacks.directory import run_directory
from polysemantic.callbacks.measurements import Measurements
from polysemantic.results import tables
from polysemantic.results.columns import COLUMNS, column_notes
from polysemantic.results.predictions import SLOTS, expected_at_points, expected_counts
from polysemantic.results.setting_columns import describe_settings, setting_columns, with_settings
from polysemantic.results.setups import setups_of_module
from polysemantic.storage.files import write_parquet
from polysemantic.training.module import EnsembleModule, ensemble_module


class Results(Callback):
    """Writes `results.parquet` and `history.parquet` at the end, `test.parquet` after a test, and prints the tables.

    Args:
        measurements: The callback that measures in training; validation and test measure the same, apart from it.
        convergence: The callback that knows when instances stopped changing, or diverged.
        collisions: The callback that follows collisions.
        survival: The callback that estimates how long they last, printed below the counts; it must come before this.
        quiet: Whether to print nothing.
    """

    def __init__(
        self,
        measurements: Measurements,
        convergence: Convergence,
        collisions: CollisionTracker,
        survival: Survival,
        *,
        quiet: bool = False,
    ) -> None:
        self.quiet = quiet
        self.measurements = measurements
        self.convergence = convergence
        self.collisions = collisions
        self.survival = survival
        self.table = pd.DataFrame()

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            module = ensemble_module(pl_module)
            history = self.measurements.history_table(_labels(module))
            path = run_directory(trainer) / "history.parquet"
            write_parquet(path, history, column_notes(self.measurements.columns))
            results = self._conclude(module, self.measurements.latest, trainer.global_step)
            # The lives come after the counts, which are the answer.
            if (lives := self.survival.shown) is not None:
                Console(quiet=self.quiet).print("", lives, sep="\n")
            self._write(trainer, "results", results)

    def _conclude(self, module: EnsembleModule, columns: dict[str, Tensor], step: int) -> pd.DataFrame:
        """The table of results, once it is printed."""
        inputs = module.data.of(slice(None))
        exposures = step * inputs.batch_size * inputs.marginals().mean(-1).cpu()
        diverged = self.convergence.diverged_step >= 0
        measured = {name: v.masked_fill(diverged, torch.nan) for name, v in (self.collisions.columns | columns).items()}
        ends = self.convergence.columns
        known = COLUMNS | self.measurements.columns
        table = tables.with_columns(_labels(module).assign(step=step), ends | measured, known)
        companions = inputs.expected_companions().nanmean(-1).cpu()
        table = table.assign(
            expected_polysemantic_neurons=expected_at_points(SLOTS, module).numpy(),
            exposures=exposures.numpy(),
            expected_companions=companions.numpy(),
        )
        varied = list(module.ensemble.vary)
        theory = expected_counts(setups_of_module(module))
        for shown in (tables.summary(table, varied, theory), *tables.own_summaries(table, varied, known)):
            Console(quiet=self.quiet).print(shown)
        self.table = table
        return table

    @override
    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._measurer = self.measurements.new_measurer()
        self._measurer.begin(ensemble_module(pl_module))

    @override
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._measurer.update(batch)

    def _measured(self) -> dict[str, Tensor]:
        return self._measurer.compute() | self._measurer.compute_costly()

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        measured, module = self._measured(), ensemble_module(pl_module)
        if trainer.is_global_zero:
            self._conclude(module, measured, module.trained_steps)

    @override
    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.on_validation_epoch_start(trainer, pl_module)

    @override
    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    @override
    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        measured, module = self._measured(), ensemble_module(pl_module)
        if trainer.is_global_zero:
            results = self._conclude(module, measured, module.trained_steps)
            self._write(trainer, "test", results)

    def _write(self, trainer: Trainer, name: str, results: pd.DataFrame) -> None:
        directory = run_directory(trainer)
        settings = setting_columns(ensemble_module(trainer.lightning_module), trainer, directory.name)
        notes = column_notes(self.measurements.columns | describe_settings(settings))
        write_parquet(directory / f"{name}.parquet", with_settings(results, settings), notes)
        # soft_wrap: a path is for copying, however narrow the terminal.
        Console(quiet=self.quiet).print(f"run directory: {directory}", soft_wrap=True, highlight=False)


def _labels(module: EnsembleModule) -> pd.DataFrame:
    return tables.labels(module.ensemble, module.n_features, module.n_hidden, type(module.data).__name__)
