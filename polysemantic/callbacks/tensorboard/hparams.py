from __future__ import annotations

import math
from typing import Any

import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams
from typing_extensions import override

from polysemantic.callbacks.results import Results
from polysemantic.callbacks.tensorboard.drawing import curve_directory, draws
from polysemantic.callbacks.tensorboard.event_files import end_writer
from polysemantic.model.ensemble import point_label
from polysemantic.results.columns import COLUMNS, ROW, SETTING
from polysemantic.training.module import EnsembleModule, ensemble_module

_OF_MODEL = ("n_features", "n_hidden", "tied", "bias", "act", "noise", "init", "clip_norm")
_OF_OPTIMIZER = ("lr", "weight_decay", "momentum")
# Columns that say what a row of the results is about and measure nothing.
_OF_ROW = {name for name, column in COLUMNS.items() if column.group in (ROW, SETTING)}


class HParams(Callback):
    """Shows each grid point as a row of TensorBoard's HParams tab, with means over seeds at the end of training.

    A row belongs to the run `mean` of the grid point and shows the last values of its curves. Results without a curve,
    such as `converged_step`, are added below `end/`.

    Args:
        results: The callback that holds the results.
    """

    def __init__(self, results: Results) -> None:
        self.results = results

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not draws(trainer):
            return
        module = ensemble_module(pl_module)
        ensemble, common = module.ensemble, hyperparameters(module, trainer)
        for at, point in enumerate(ensemble.points):
            rows = self.results.table.iloc[at * ensemble.seeds : (at + 1) * ensemble.seeds]
            run = curve_directory(trainer, point_label(point), "mean")
            drawn = set(point) | self.results.measurements.tags.keys()
            with end_writer(run, "hparams") as writer:
                _write(writer, common | point, means(rows, drawn), trainer.global_step)


def hyperparameters(module: EnsembleModule, trainer: Trainer) -> dict[str, int | float | str]:
    """The hyperparameters of a fit that are numbers or text, with those of its data and optimiser."""
    values = {name: getattr(module, name) for name in _OF_MODEL} | module.numbers
    optimizer = trainer.optimizers[0]
    values |= {name: value for name, value in optimizer.defaults.items() if name in _OF_OPTIMIZER}
    values |= {"optimizer": type(optimizer).__name__, "steps": trainer.max_steps, "root_seed": module.seed}
    values |= {"data": type(module.data).__name__, "seeds": module.ensemble.seeds} | module.data.arguments()
    return {name: value for name, value in values.items() if isinstance(value, (int, float, str))}


def means(rows: pd.DataFrame, left_out: set[str]) -> dict[str, float]:
    """The mean over seeds of all other columns; columns that do not apply have none."""
    table = rows.drop(columns=[*_OF_ROW, *left_out], errors="ignore").astype(float).mean()
    return {str(name): float(value) for name, value in table.items() if math.isfinite(value)}


def _write(writer: SummaryWriter, values: dict[str, Any], metrics: dict[str, float], step: int) -> None:
    # torch's summary of the experiment is left out: with it, TensorBoard shows the hyperparameters of one run for all.
    _, *session = hparams(values, {})  # type: ignore[no-untyped-call]
    for summary in session:
        writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]
    for name, value in metrics.items():
        writer.add_scalar(f"end/{name}", value, step)
