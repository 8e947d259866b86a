from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor
from typing_extensions import override

from polysemantic import tables
from polysemantic.callbacks.measurements import Measurements
from polysemantic.files import write_parquet
from polysemantic.theory import expected_polysemantic_neurons


class Results(Callback):
    """Writes `results.parquet` and `history.parquet` at the end, `test.parquet` after a test, and prints the table.

    Args:
        measurements: The callback that measures.
    """

    def __init__(self, measurements: Measurements) -> None:
        self.measurements = measurements
        self.table: pd.DataFrame | None = None

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            labels = _labels(trainer, pl_module)
            history = self.measurements.history_table(labels)
            self._conclude(trainer, pl_module, self.measurements.latest, trainer.global_step)
            assert trainer.log_dir is not None and self.table is not None
            write_parquet(Path(trainer.log_dir) / "history.parquet", history)
            write_parquet(Path(trainer.log_dir) / "results.parquet", self.table)
            # soft_wrap: a path is for copying, however narrow the terminal.
            Console().print(f"run directory: {trainer.log_dir}", soft_wrap=True, highlight=False)

    def _conclude(self, trainer: Trainer, module: Any, columns: dict[str, Tensor], step: int) -> None:
        whole = {metric.column() for metric in self.measurements.metrics if metric.count_valued}
        labels = _labels(trainer, module).assign(step=step)
        expected = expected_polysemantic_neurons(module.n_features, module.n_hidden)
        exposures = step * module.data.batch_size * module.data.marginals().mean(-1).cpu()
        table = tables.with_columns(labels, columns, whole)
        self.table = table.assign(expected_polysemantic_neurons=expected, exposures=exposures.numpy())
        Console().print(tables.summary(self.table, list(module.ensemble.vary)))

    @override
    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.measurements.begin(pl_module)

    @override
    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.measurements.update(pl_module.evaluation)

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._conclude(trainer, pl_module, self.measurements.compute(), pl_module.trained_steps)

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
        self.on_validation_epoch_end(trainer, pl_module)
        if trainer.is_global_zero:
            assert trainer.log_dir is not None and self.table is not None
            write_parquet(Path(trainer.log_dir) / "test.parquet", self.table)


def _labels(trainer: Trainer, module: Any) -> pd.DataFrame:
    return tables.labels(module.ensemble, module.n_features, module.n_hidden, type(module.data).__name__)
