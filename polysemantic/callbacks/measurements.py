from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from polysemantic.callbacks.measurer import Measurer, check_arguments
from polysemantic.metrics.agreement import check_metrics
from polysemantic.metrics.base import InstanceMetric
from polysemantic.metrics.standard import STANDARD
from polysemantic.results.columns import COSTLY, NO_METRICS, by_name, described
from polysemantic.results.setting_columns import declared_settings
from polysemantic.training.cadence import default_interval
from polysemantic.training.module import EnsembleModule, ensemble_module
from polysemantic.training.step_callback import StepCallback
from polysemantic.validation.arguments import checked_arguments

# One in so many measurements, and the last, takes the costly columns in.
_EVERY = 20


class Measurements(StepCallback):
    """Measures every instance at a cadence and keeps the history of it.

    What takes as long as many optimiser steps is measured at every twentieth measurement and at the last one only, and
    is missing from the history in between (`callbacks.costly`).

    Args:
        every_n_steps: Steps between two measurements; None for a thirty-second of the run, or 150 steps where that
            leaves eight measurements; 100 n_features / batch_size at least, if that leaves as many.
        metrics: Further metrics, beside those that every run has.
        partition: +1 or -1 for each feature, the two parts that disambiguation is measured for; None for those of the
            inputs, if they have any.

    Raises:
        ValueError: If `metrics` holds anything but metrics, one of them takes what there is not, two have the same
            column, one has a column of the tables, or `partition` holds anything but +1 and -1.
    """

    @checked_arguments()
    def __init__(
        self,
        every_n_steps: int | None = None,
        metrics: list[InstanceMetric] | None = None,
        partition: list[int] | None = None,
    ) -> None:
        super().__init__(every_n_steps)
        if partition is not None and set(partition) != {1, -1}:
            raise ValueError(f"`partition` must hold +1 and -1 and nothing else, got {partition}.")
        self.partition = partition
        if metrics is not None:
            check_metrics(metrics)
        self.metrics = [kind() for kind in STANDARD] + list(metrics or [])
        for metric in self.metrics:
            check_arguments(metric)
        self.columns = by_name(map(described, self.metrics)) | COSTLY
        """What is measured: the columns of the metrics, and the costly ones."""
        columns = [metric.column() for metric in self.metrics]
        for column in columns:
            if columns.count(column) > 1:
                raise ValueError(f"`metrics` must have distinct columns, got {column} twice.")
        self._check_columns(NO_METRICS)
        self._forget()

    def _check_columns(self, taken: Iterable[str]) -> None:
        """Refuse metrics whose columns are taken."""
        for column in {metric.column() for metric in self.metrics}.intersection(taken):
            raise ValueError(f"`metrics` must have columns that the run does not have anyway, got {column}.")

    def _forget(self) -> None:
        self.steps: list[int] = []
        self.history: dict[str, list[Tensor]] = {}

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        module = ensemble_module(pl_module)
        self._check_columns({*module.ensemble.vary, *declared_settings(module)})
        self._measurer = Measurer(self.metrics, self.partition)
        if stage == "fit":
            self._forget()
        if self.partition is not None and len(self.partition) != module.n_features:
            rule = f"`partition` must hold a number for each of {module.n_features} features"
            raise ValueError(f"{rule}, got {len(self.partition)}.")

    def new_measurer(self) -> Measurer:
        """Something else that takes the same measurements, and writes nothing into the metrics of this callback."""
        return Measurer(copy.deepcopy(self.metrics), self.partition)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = ensemble_module(pl_module)
        self._default_interval = default_interval(trainer.max_steps, module.n_features, module.data.batch_size)
        super().on_train_start(trainer, pl_module)

    @property
    def tags(self) -> dict[str, str]:
        """Where TensorBoard draws each column that it has a curve of."""
        return {name: column.tag for name, column in self.columns.items() if not column.at_end}

    @property
    def latest(self) -> dict[str, Tensor]:
        """The last measurement, a value for each instance under each column."""
        return {column: values[-1] for column, values in self.history.items()}

    @override
    def act(self, trainer: Trainer, module: EnsembleModule) -> None:
        self._measurer.begin(module)
        for batch in module.data.val_dataloader():
            self._measurer.update(batch)
        measured = self._measurer.compute()
        last = trainer.global_step >= trainer.max_steps or trainer.should_stop
        if last or len(self.steps) % _EVERY == 0:
            measured |= self._measurer.compute_costly()
        else:
            measured |= dict.fromkeys(COSTLY, torch.full_like(measured["loss"], torch.nan))
        self.steps.append(trainer.global_step)
        for column, values in measured.items():
            self.history.setdefault(column, []).append(values)

    def history_table(self, labels: pd.DataFrame) -> pd.DataFrame:
        """One row for each step and instance, with the instance's labels."""
        steps = np.repeat(np.array(self.steps, dtype=np.int64), len(labels))
        columns = {column: torch.cat(values).numpy() for column, values in self.history.items()}
        rows = pd.concat([labels] * len(self.steps) or [labels.iloc[:0]], ignore_index=True)
        return rows.assign(step=steps, **columns)

    @override
    def state_dict(self) -> dict[str, Any]:
        history = {column: torch.stack(values) for column, values in self.history.items()}
        return super().state_dict() | {"steps": list(self.steps), "history": history}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.steps = list(state_dict["steps"])
        self.history = {column: list(values.cpu()) for column, values in state_dict["history"].items()}
        # Earlier versions could write a checkpoint between a measurement and its costly columns.
        for name in COSTLY if self.steps else ():
            known = self.history.get(name, [])
            missing = self.history["loss"][len(known) :]
            self.history[name] = [*known, *(torch.full_like(values, torch.nan) for values in missing)]
