from __future__ import annotations

import math
from typing import Any

import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams
from typing_extensions import override

from polysemantic.callbacks.directory import run_directory
from polysemantic.callbacks.results import Results
from polysemantic.callbacks.tensorboard.event_files import end_writer
from polysemantic.model.ensemble import point_label

_OF_MODEL = ("n_features", "n_hidden", "tied", "bias", "act", "noise", "init", "clip_norm")
_OF_OPTIMIZER = ("lr", "weight_decay", "momentum")
# Not measured, or one of the hyperparameters.
_LABELS = {"instance", "seed", "n_features", "n_hidden", "data", "step"}


class HParams(Callback):
    """Shows each grid point as a row of TensorBoard's HParams tab, with the means over seeds at the end of training.

    A row is the run with the grid point's mean curves, whose last values it shows. What has no curve, such as when
    networks converged, is added to it below `end/`.

    Args:
        results: The callback that has the end state.
    """

    def __init__(self, results: Results) -> None:
        self.results = results

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(trainer.logger, TensorBoardLogger) or not trainer.is_global_zero:
            return
        module: Any = pl_module
        ensemble, common = module.ensemble, hyperparameters(module, trainer)
        for at, point in enumerate(ensemble.points):
            rows = self.results.table.iloc[at * ensemble.seeds : (at + 1) * ensemble.seeds]
            run = run_directory(trainer) / ("mean" if not point else f"{point_label(point)}/mean")
            drawn = set(point) | self.results.measurements.tags.keys()
            with end_writer(run, "hparams") as writer:
                _write(writer, common | point, means(rows, drawn), trainer.global_step)


def hyperparameters(module: Any, trainer: Trainer) -> dict[str, int | float | str]:
    """The plain hyperparameters of a fit, those of its data and optimiser among them."""
    values = {name: getattr(module, name) for name in _OF_MODEL} | module.numbers
    optimizer = trainer.optimizers[0]
    values |= {name: value for name, value in optimizer.defaults.items() if name in _OF_OPTIMIZER}
    values |= {"optimizer": type(optimizer).__name__, "steps": trainer.max_steps, "root_seed": module.seed}
    values |= {"data": type(module.data).__name__, "seeds": module.ensemble.seeds} | module.data.arguments()
    return {name: value for name, value in values.items() if isinstance(value, (int, float, str))}


def means(rows: pd.DataFrame, left_out: set[str]) -> dict[str, float]:
    """The mean over seeds of every other column that applies."""
    table = rows.drop(columns=[*_LABELS, *left_out], errors="ignore").astype(float).mean()
    return {str(name): float(value) for name, value in table.items() if math.isfinite(value)}


def _write(writer: SummaryWriter, values: dict[str, Any], metrics: dict[str, float], step: int) -> None:
    # Without torch's summary of the experiment: with one, only the hyperparameters of one run are shown for all.
    _, *session = hparams(values, {})  # type: ignore[no-untyped-call]
    for summary in session:
        writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]
    for name, value in metrics.items():
        writer.add_scalar(f"end/{name}", value, step)
