from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2, metadata
from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from polysemantic.callbacks.measurements import Measurements
from polysemantic.callbacks.tensorboard.charts import Charts
from polysemantic.callbacks.tensorboard.drawing import curve_run
from polysemantic.model.ensemble import point_label
from polysemantic.results.intervals import intervals_of
from polysemantic.results.predictions import DRAWN
from polysemantic.results.setups import Setup
from polysemantic.training.module import EnsembleModule

_MAIN = (
    *(
        "polysemantic_neurons",
        "collisions_opposite_sign",
        "collisions_same_sign",
        "coverage",
        "represented",
        "carriers",
    ),
    *("loss", "reconstruction_error", "fourth_norm", "privilege", "participation_ratio", "hidden_excess_kurtosis"),
)
# The tab Scalars shows these curves too, where nobody needs them: this group comes last there.
_GROUP = "with_bands"


class Bands(Charts):
    """Draws the main measurements in the tab Custom Scalars, with 95 % intervals as bands and predictions beside them.

    TensorBoard draws a band from three curves of one run. So the curves of `Charts` are written once more, to the run
    `bands`, below the grid point's label if anything varies.

    Args:
        measurements: The callback that measures.
    """

    def __init__(self, measurements: Measurements) -> None:
        super().__init__(measurements)
        self._shown = {column: measurements.tags[column] for column in _MAIN if column in measurements.tags}
        self._laid_out: set[str] = set()

    @override
    def _draw_measurement(self, trainer: Trainer, module: EnsembleModule, at: int) -> None:
        points = [point_label(point) for point in module.ensemble.points]
        curves: list[dict[str, float]] = [{} for _ in points]
        columns = {column: self.measurements.history[column][at].view(len(points), -1) for column in self._shown}
        for column, (mean, *ends) in intervals_of(columns, self._columns).items():
            # TensorBoard draws nothing where the three do not have the same steps: one network has a line, no band.
            low, high = (mean.where(end.isnan(), end) for end in ends)
            for name, bound in {"mean": mean, "low": low, "high": high}.items():
                for point, value in enumerate(bound.tolist()):
                    curves[point][f"{_GROUP}/{column}/{name}"] = value
        for label, values, setup in zip(points, curves, self._setups, strict=True):
            expected = {f"{_GROUP}/{column}/theory": value for column, value in self._expected(setup).items()}
            self._write(trainer, curve_run(label, "bands"), values | expected, self.measurements.steps[at])

    def _expected(self, setup: Setup) -> dict[str, float]:
        """What theory expects of the columns shown, where it holds and does not change over the steps."""
        holding = [one for one in DRAWN if one.holds(setup) and not one.over_steps]
        return {column: one.at(setup) for one in holding for column in one.columns if column in self._shown}

    @override
    def _writer(self, trainer: Trainer, run: str) -> SummaryWriter:
        writer = super()._writer(trainer, run)
        if run not in self._laid_out:
            file: Any = writer.file_writer
            # TensorBoard puts the layouts of runs together by equal charts, so all runs have the same.
            expected = {column for setup in self._setups for column in self._expected(setup)}
            file.add_summary(layout_summary(self._shown, expected))
            self._laid_out.add(run)
        return writer


def layout_summary(tags: dict[str, str], expected: set[str]) -> Summary:
    """The layout of the tab Custom Scalars: a chart for each column, below the group that its tag begins with.

    Args:
        tags: Where each column is drawn.
        expected: The columns that theory has a curve of.
    """
    groups: dict[str, list[layout_pb2.Chart]] = {}
    for column, tag in tags.items():
        series = [_series("mean", "low", "high", column)]
        if column in expected:
            series.append(_series("theory", "theory", "theory", column))
        chart = layout_pb2.Chart(title=column, margin=layout_pb2.MarginChartContent(series=series))
        groups.setdefault(tag.partition("/")[0], []).append(chart)
    layout = layout_pb2.Layout(category=[layout_pb2.Category(title=name, chart=of) for name, of in groups.items()])
    content = TensorProto(dtype=DT_STRING, string_val=[layout.SerializeToString()])
    kind = metadata.create_summary_metadata()
    return Summary(value=[Summary.Value(tag=metadata.CONFIG_SUMMARY_TAG, tensor=content, metadata=kind)])


def _series(value: str, lower: str, upper: str, column: str) -> layout_pb2.MarginChartContent.Series:
    tags = {
        name: f"{_GROUP}/{column}/{curve}" for name, curve in {"value": value, "lower": lower, "upper": upper}.items()
    }
    return layout_pb2.MarginChartContent.Series(**tags)
