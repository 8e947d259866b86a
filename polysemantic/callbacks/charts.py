from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from polysemantic import theory
from polysemantic.callbacks.measurements import Measurements
from polysemantic.ensemble import point_label
from polysemantic.functional import mean_interval


class Charts(Callback):
    """Draws the history in TensorBoard: one chart a measurement, a curve each for mean, interval and theory.

    Curves of one chart are runs of their own inside the run directory: `mean`, `low` and `high`, below the grid point's
    label if anything varies, and `theory`. Low and high bound the 95 % interval of the mean over seeds.

    Args:
        measurements: The callback that measures.
    """

    def __init__(self, measurements: Measurements) -> None:
        self.measurements = measurements
        self._writers: dict[str, SummaryWriter] = {}
        self._drawn = 0

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A resumed run has drawn what its checkpoint remembers.
        resumed = trainer.global_step > 0
        self._drawn = len(self.measurements.steps) if resumed else 0
        self._purge = trainer.global_step + 1 if resumed else None
        self._draw(trainer, pl_module)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._draw(trainer, pl_module)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw(trainer, pl_module)
        self._close()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _draw(self, trainer: Trainer, module: Any) -> None:
        if not isinstance(trainer.logger, TensorBoardLogger) or not trainer.is_global_zero:
            return
        for at in range(self._drawn, len(self.measurements.steps)):
            self._draw_measurement(trainer, module, at)
        self._drawn = len(self.measurements.steps)

    def _draw_measurement(self, trainer: Trainer, module: Any, at: int) -> None:
        step = self.measurements.steps[at]
        points = [point_label(point) for point in module.ensemble.points]
        for column, tag in self.measurements.tags.items():
            by_point = self.measurements.history[column][at].view(len(points), -1)
            mean, half_width = mean_interval(by_point)
            for curve, values in {"mean": mean, "low": mean - half_width, "high": mean + half_width}.items():
                for point, value in zip(points, values.tolist(), strict=True):
                    if value == value:  # nan is no point of a curve
                        run = curve if point == "all" else f"{point}/{curve}"
                        self._writer(trainer, run).add_scalar(tag, value, step)
        paper = theory.polysemantic_neurons_paper(module.n_features, module.n_hidden)
        for name in ("polysemantic_neurons", "polysemantic_neurons_band"):
            self._writer(trainer, "theory").add_scalar(f"collisions/{name}", paper, step)

    def _writer(self, trainer: Trainer, run: str) -> SummaryWriter:
        if run not in self._writers:
            self._writers[run] = SummaryWriter(f"{trainer.log_dir}/{run}", purge_step=self._purge)
        return self._writers[run]

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
