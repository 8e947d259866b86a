from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from polysemantic.callbacks.steps import StepCallback
from polysemantic.functional import all_finite
from polysemantic.metrics.base import InstanceMetric
from polysemantic.metrics.standard import STANDARD


class Measurements(StepCallback):
    """Measures every instance at a cadence and keeps the history of it.

    Args:
        every_n_steps: Steps between two measurements; None for a hundredth of the run.
        metrics: Further metrics, beside those that every run has.

    Raises:
        ValueError: If two metrics have the same column.
    """

    def __init__(self, every_n_steps: int | None = None, metrics: list[InstanceMetric] | None = None) -> None:
        super().__init__(every_n_steps)
        self.metrics = [kind() for kind in STANDARD] + list(metrics or [])
        columns = [metric.column() for metric in self.metrics]
        for column in columns:
            if columns.count(column) > 1:
                raise ValueError(f"`metrics` must have distinct columns, got {column} twice.")
        self.steps: list[int] = []
        self.history: dict[str, list[Tensor]] = {}
        self._given: dict[str, Any] = {}

    @property
    def latest(self) -> dict[str, Tensor]:
        """The last measurement, a value for each instance under each column."""
        return {column: values[-1] for column, values in self.history.items()}

    @override
    def act(self, trainer: Trainer, module: Any) -> None:
        self.steps.append(trainer.global_step)
        for column, values in self.measure(module, map(module.evaluate, module.data.val_dataloader())).items():
            self.history.setdefault(column, []).append(values)

    @torch.no_grad()
    def measure(self, module: Any, batches: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Every column on given evaluations of the networks."""
        self.begin(module)
        for batch in batches:
            self.update(batch)
        return self.compute()

    def begin(self, module: Any) -> None:
        """Forget earlier updates and measure what depends on the weights alone."""
        weights = module.networks.weights
        self._finite = all_finite(weights.W_enc, weights.W_dec, weights.b_dec)
        if not self._finite.all():
            weights = weights.map(lambda w: w.where(self._finite.view(-1, *[1] * (w.ndim - 1)), torch.nan))
        if not self._given:
            self._given = {"cooccurrence": module.data.cooccurrence(), "partition": module.data.partition}
        given = {"W_enc": weights.W_enc, "W_dec": weights.W_dec, "b_dec": weights.b_dec}
        given |= self._given | {"w_start": module.w_start}
        for metric in self.metrics:
            metric.to(weights.W_enc.device).reset()
            if not _takes_inputs(metric):
                metric.update(**metric._filter_kwargs(**given))

    def update(self, batch: dict[str, Tensor]) -> None:
        """Take in one batch of evaluations: x, h, x_hat and loss."""
        for metric in filter(_takes_inputs, self.metrics):
            metric.update(**metric._filter_kwargs(**batch))

    def compute(self) -> dict[str, Tensor]:
        """The value of each column for each instance, in float64 on the CPU; nan for one that diverged."""
        columns = {metric.column(): metric.compute().double() for metric in self.metrics}
        return {column: values.where(self._finite, torch.nan).cpu() for column, values in columns.items()}

    def history_table(self, labels: pd.DataFrame) -> pd.DataFrame:
        """One row for each step and instance, with the instance's labels."""
        tables = []
        for at, step in enumerate(self.steps):
            row = {column: values[at].numpy() for column, values in self.history.items()}
            tables.append(labels.assign(step=step, **row))
        return pd.concat(tables, ignore_index=True) if tables else labels.iloc[:0].assign(step=0)

    @override
    def state_dict(self) -> dict[str, Any]:
        history = {column: torch.stack(values) for column, values in self.history.items()}
        return super().state_dict() | {"steps": list(self.steps), "history": history}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.steps = list(state_dict["steps"])
        self.history = {column: list(values.cpu()) for column, values in state_dict["history"].items()}


def _takes_inputs(metric: Metric) -> bool:
    return bool(metric._filter_kwargs(x=0, h=0, x_hat=0, loss=0))
