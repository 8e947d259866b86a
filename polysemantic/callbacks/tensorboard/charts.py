from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from polysemantic.callbacks.directory import run_directory
from polysemantic.callbacks.measurements import Measurements
from polysemantic.callbacks.tensorboard.drawing import curve_run, draws
from polysemantic.callbacks.tensorboard.event_files import event_writer
from polysemantic.model.ensemble import point_label
from polysemantic.results.columns import COLUMNS, Column, of_sizes
from polysemantic.results.glossary import glossary
from polysemantic.results.intervals import intervals_of, note_on_seeds
from polysemantic.results.predictions import DRAWN, describe
from polysemantic.results.setups import Setup, setups_of_module
from polysemantic.training.module import EnsembleModule, ensemble_module


class Charts(Callback):
    """Draws the history in TensorBoard: one chart per measurement, with curves for mean, interval and theory.

    To TensorBoard each curve is a run of its own, inside the run directory: `mean`, `low` and `high`, below the grid
    point's label if anything varies, and `theory`, which is drawn where its assumptions hold: below the labels of some
    grid points, or once for all of them. Low and high bound the 95 % interval of the mean over seeds. TensorBoard tells
    what a chart shows at the sign (i) beside its name.

    Args:
        measurements: The callback that measures.
    """

    def __init__(self, measurements: Measurements) -> None:
        self.measurements = measurements
        self._writers: dict[str, SummaryWriter] = {}
        self._described: set[tuple[str, str]] = set()
        self._drawn = 0

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A resumed run has already drawn the measurements that its checkpoint holds.
        resumed = trainer.global_step > 0
        self._drawn = len(self.measurements.steps) if resumed else 0
        self._purge = trainer.global_step + 1 if resumed else None
        module = ensemble_module(pl_module)
        self._setups = setups_of_module(module)
        self._columns = of_sizes(self.measurements.columns, n_features=module.n_features, n_hidden=module.n_hidden)
        self._descriptions = _descriptions(self._columns, self.measurements.tags, module.ensemble.seeds)
        self._draw(trainer, module)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._draw(trainer, ensemble_module(pl_module))

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(trainer, ensemble_module(pl_module))
        self._close()

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # A run that continues from this checkpoint draws only later points, so the earlier ones must be on disk.
        self._make_directories(trainer)
        for writer in self._writers.values():
            writer.flush()

    def _make_directories(self, trainer: Trainer) -> None:
        """Make the directories again that somebody removed: a writer opens its file at each flush."""
        for run in self._writers:
            (run_directory(trainer) / run).mkdir(parents=True, exist_ok=True)

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _draw(self, trainer: Trainer, module: EnsembleModule) -> None:
        if not draws(trainer):
            return
        for at in range(self._drawn, len(self.measurements.steps)):
            self._make_directories(trainer)
            self._draw_measurement(trainer, module, at)
        self._drawn = len(self.measurements.steps)

    def _draw_measurement(self, trainer: Trainer, module: EnsembleModule, at: int) -> None:
        tags = self.measurements.tags
        points = [point_label(point) for point in module.ensemble.points]
        columns = {column: self.measurements.history[column][at].view(len(points), -1) for column in tags}
        curves: dict[str, dict[str, float]] = {}
        for column, interval in intervals_of(columns, self._columns).items():
            for curve, values in interval._asdict().items():
                for point, value in zip(points, values.tolist(), strict=True):
                    curves.setdefault(curve_run(point, curve), {})[tags[column]] = value
        step = self.measurements.steps[at]
        for run, of_run in (curves | theory_curves(dict(zip(points, self._setups, strict=True)), step)).items():
            self._write(trainer, run, of_run, step)

    def _write(self, trainer: Trainer, run: str, values: dict[str, float], step: int) -> None:
        """Write a point of each curve, by their tags, as one event; nan is no point."""
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items() if value == value]
        told = self._descriptions.get(run.rpartition("/")[2], {})
        for scalar in scalars:
            # TensorBoard keeps the description that comes with the first point of a curve.
            if scalar.tag in told and (run, scalar.tag) not in self._described:
                self._described.add((run, scalar.tag))
                scalar.metadata.summary_description = told[scalar.tag]
                scalar.metadata.plugin_data.plugin_name = "scalars"
        if scalars:
            file: Any = self._writer(trainer, run).file_writer
            file.add_summary(Summary(value=scalars), step)

    def _writer(self, trainer: Trainer, run: str) -> SummaryWriter:
        if run not in self._writers:
            self._writers[run] = event_writer(run_directory(trainer) / run, purge_step=self._purge)
        return self._writers[run]

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _descriptions(columns: Mapping[str, Column], tags: Mapping[str, str], seeds: int) -> dict[str, dict[str, str]]:
    """What the charts show, by the kind of curve that tells it, and by tag."""
    interval = f"Mean over seeds; low and high: its 95 % interval. {note_on_seeds(seeds) or ''}".rstrip()
    return {
        "mean": {tag: f"{glossary([name], columns)} {interval}".lstrip() for name, tag in tags.items()},
        "theory": {COLUMNS[name].tag: describe(one) for one in DRAWN for name in one.columns},
    }


def theory_curves(setups: Mapping[str, Setup], step: int) -> dict[str, dict[str, float]]:
    """What theory expects after some steps, by TensorBoard's run and tag, wherever its assumptions hold.

    A prediction that the sizes decide is one curve if it holds at all grid points.

    Args:
        setups: The grid points' by label.
        step: Optimiser steps.
    """
    curves: dict[str, dict[str, float]] = {}
    for prediction in DRAWN:
        everywhere = not prediction.over_steps and all(map(prediction.holds, setups.values()))
        for label, setup in setups.items():
            if prediction.holds(setup):
                of_run = curves.setdefault(curve_run("all" if everywhere else label, "theory"), {})
                of_run |= {COLUMNS[name].tag: prediction.at(setup, step) for name in prediction.columns}
    return curves
