from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from polysemantic import theory
from polysemantic.callbacks.directory import run_directory
from polysemantic.callbacks.measurements import Measurements
from polysemantic.callbacks.tensorboard.drawing import curve_run, draws
from polysemantic.callbacks.tensorboard.event_files import event_writer
from polysemantic.functional import hidden_excess_kurtosis_null
from polysemantic.model.ensemble import point_label
from polysemantic.results.columns import COLUMNS
from polysemantic.results.intervals import intervals_of
from polysemantic.training.module import EnsembleModule, ensemble_module

_LAWS = {"l1_norm": theory.l1_norm_law, "sparsity_count": theory.sparsity_law}


class Charts(Callback):
    """Draws the history in TensorBoard: one chart per measurement, with curves for mean, interval and theory.

    To TensorBoard each curve is a run of its own, inside the run directory: `mean`, `low` and `high`, below the grid
    point's label if anything varies, and `theory`. Low and high bound the 95 % interval of the mean over seeds.

    Args:
        measurements: The callback that measures.
    """

    def __init__(self, measurements: Measurements) -> None:
        self.measurements = measurements
        self._writers: dict[str, SummaryWriter] = {}
        self._drawn = 0

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A resumed run has already drawn the measurements that its checkpoint holds.
        resumed = trainer.global_step > 0
        self._drawn = len(self.measurements.steps) if resumed else 0
        self._purge = trainer.global_step + 1 if resumed else None
        self._draw(trainer, ensemble_module(pl_module))

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
        for column, interval in intervals_of(columns, self.measurements.columns).items():
            for curve, values in interval._asdict().items():
                for point, value in zip(points, values.tolist(), strict=True):
                    curves.setdefault(curve_run(point, curve), {})[tags[column]] = value
        step = self.measurements.steps[at]
        for run, of_run in (curves | self._theory(trainer, module, points, step)).items():
            self._write(trainer, run, of_run, step)

    def _theory(
        self, trainer: Trainer, module: EnsembleModule, points: list[str], step: int
    ) -> dict[str, dict[str, float]]:
        """Predictions of theory, and the sparsification laws where they hold."""
        paper = float(theory.polysemantic_neurons_paper(module.n_features, module.n_hidden))
        names = ("polysemantic_neurons", "polysemantic_neurons_band")
        curves = {"theory": {COLUMNS[name].tag: paper for name in names}}
        if module.act == "linear":
            null = float(hidden_excess_kurtosis_null(module.n_hidden))
            curves["theory"][COLUMNS["hidden_excess_kurtosis"].tag] = null
        optimizer = trainer.optimizers[0]
        for label, point in zip(points, module.ensemble.points, strict=True):
            numbers = module.numbers | point
            rate = theory.law_rate(
                every_feature_once=module.data.every_feature_once,
                tied=module.tied,
                act=module.act,
                optimizer=type(optimizer).__name__,
                options=optimizer.param_groups[0],
                noise_std=numbers["noise_std"],
                bias=module.bias,
                clip_norm=module.clip_norm,
            )
            if rate is None:
                continue
            t = theory.paper_time(rate, step, module.n_features)
            laws = curves.setdefault(curve_run(label, "theory"), {})
            for name, law in _LAWS.items():
                laws[COLUMNS[name].tag] = float(law(t, module.n_hidden, theory.paper_lambda(numbers["l1"])))
        return curves

    def _write(self, trainer: Trainer, run: str, values: dict[str, float], step: int) -> None:
        """Write a point of each curve, by their tags, as one event; nan is no point."""
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items() if value == value]
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
