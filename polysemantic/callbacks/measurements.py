from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from polysemantic.callbacks.costly import measure_costly
from polysemantic.callbacks.networks import gathered
from polysemantic.data import InputDataModule
from polysemantic.functional import all_finite, cache_blocks, numbers_at_once, sharing
from polysemantic.metrics.base import InstanceMetric
from polysemantic.metrics.standard import STANDARD
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.results.columns import COSTLY, NO_METRICS, by_name, described
from polysemantic.training.allocator import raise_malloc_thresholds, trim_heap
from polysemantic.training.cadence import default_interval
from polysemantic.training.module import EnsembleModule, ensemble_module
from polysemantic.training.step_callback import StepCallback
from polysemantic.validation.suggestions import did_you_mean

# Entries of weights, activations and Gram matrices measured together: on a CPU few enough for its cache.
_AT_ONCE = 3 * 2**18
# What the `update` of a metric may ask for.
_AT_START = ("led_at_start", "signs_at_start", "w_start")
_GIVEN = ("W_enc", "W_dec", "b_dec", *_AT_START, "l1", "cooccurrence", "partition", "x", "h", "x_hat", "loss")
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
        ValueError: If a metric takes what there is not, two have the same column, one has a column of the tables, or
            `partition` holds anything but +1 and -1.
    """

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
        self.metrics = [kind() for kind in STANDARD] + list(metrics or [])
        for metric in self.metrics:
            _check_arguments(metric)
        self.columns = by_name(map(described, self.metrics)) | COSTLY
        """What is measured: the columns of the metrics, and the costly ones."""
        columns = [metric.column() for metric in self.metrics]
        for column in columns:
            if columns.count(column) > 1:
                raise ValueError(f"`metrics` must have distinct columns, got {column} twice.")
        self._check_columns(NO_METRICS)
        self._start_anew()

    def _check_columns(self, taken: Iterable[str]) -> None:
        """Refuse metrics whose columns are taken."""
        for column in {metric.column() for metric in self.metrics}.intersection(taken):
            raise ValueError(f"`metrics` must have columns that the run does not have anyway, got {column}.")

    def _start_anew(self) -> None:
        self.steps: list[int] = []
        self.history: dict[str, list[Tensor]] = {}

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        module = ensemble_module(pl_module)
        self._check_columns(module.ensemble.vary)
        self._constant: dict[str, Tensor] = {}
        if stage == "fit":
            self._start_anew()
        if self.partition is not None and len(self.partition) != module.n_features:
            rule = f"`partition` must hold a number for each of {module.n_features} features"
            raise ValueError(f"{rule}, got {len(self.partition)}.")

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = ensemble_module(pl_module)
        self._default_interval = default_interval(trainer.max_steps, module.n_features, module.data.batch_size)
        super().on_train_start(trainer, pl_module)

    def partition_of(self, data: InputDataModule) -> Float[Tensor, " feature"] | None:
        """The two parts of the features that were given, or those of the inputs."""
        if self.partition is None:
            return data.partition
        return torch.tensor(self.partition, dtype=torch.float32, device=data.device)

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
        self.begin(module)
        for batch in module.data.val_dataloader():
            self.update(batch)
        measured = self.compute()
        last = trainer.global_step >= trainer.max_steps or trainer.should_stop
        if last or len(self.steps) % _EVERY == 0:
            measured |= self.compute_costly()
        else:
            measured |= dict.fromkeys(COSTLY, torch.full_like(measured["loss"], torch.nan))
        self.steps.append(trainer.global_step)
        for column, values in measured.items():
            self.history.setdefault(column, []).append(values)

    def begin(self, module: EnsembleModule) -> None:
        """Forget earlier updates and take the networks as they are now; they must not change before `compute`."""
        trim_heap()  # The steps have freed allocations of other sizes.
        raise_malloc_thresholds()
        weights = module.networks.weights
        self._module, self._shard = module, module.shard
        self._finite = all_finite(weights.W_enc, weights.W_dec, weights.b_dec)
        if not self._constant:
            self._constant = {"cooccurrence": module.data.joint(), "l1": module.number("l1").to(weights.W_enc)}
            self._constant |= {name: kept.to(weights.W_enc.device) for name, kept in module.start._asdict().items()}
            if any(metric._filter_kwargs(w_start=0) for metric in self.metrics):
                self._constant["w_start"] = module.w_start.to(weights.W_enc)
            self._partition = self.partition_of(module.data)
        for metric in self.metrics:
            # Values are put together once for all metrics, in `compute`.
            metric.distributed_available_fn = _alone
            if metric.device != weights.W_enc.device:
                metric.to(weights.W_enc.device)
            metric.reset()
        self._due = self.metrics

    @torch.no_grad()
    def update(self, batch: int) -> None:
        """Take in one batch of evaluation draws."""
        module, networks = self._module, self._module.networks
        of_instances = dict(self._constant)
        if not networks.is_standard:  # a user's, of which only all can be evaluated
            of_instances |= module.evaluate(module.evaluation_inputs(batch), networks)
        for block in _blocks(networks, module.data.evaluation_rows):
            here = {name: values[block] for name, values in of_instances.items()} | {"partition": self._partition}
            with sharing():
                if networks.is_standard:
                    some = networks.subset(block)
                    weights = some.weights
                    here |= module.evaluate(module.evaluation_inputs(batch, block), some)
                else:
                    weights = networks.weights.map(operator.itemgetter(block))
                if not (finite := self._finite[block]).all():
                    weights = weights.map(functools.partial(_nan_unless, finite))
                # The very tensors that were evaluated, if possible: then intermediates are shared.
                here |= vars(weights)
                for metric in self._due:
                    metric.others = (block.start, len(networks.W_enc) - block.stop)
                    _update(metric, metric._filter_kwargs(**here), len(networks.W_enc))
        # What depends on the weights alone is measured once, with the first batch.
        self._due = list(filter(_takes_inputs, self.metrics))

    def compute(self) -> dict[str, Tensor]:
        """The value of each column for each instance of the run, in float64 on the CPU; nan for one that diverged."""
        columns = {metric.column(): metric.compute().double() for metric in self.metrics}
        return gathered({name: v.where(self._finite, torch.nan).cpu() for name, v in columns.items()}, self._shard)

    def compute_costly(self) -> dict[str, Tensor]:
        """The costly columns of the networks that `begin` took, for each instance of the run."""
        return measure_costly(self._module, self._partition)

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


def _check_arguments(metric: InstanceMetric) -> None:
    for name, parameter in inspect.signature(metric.update).parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if needed and name not in _GIVEN:
            rule = f"`metrics` must take nothing but {', '.join(_GIVEN)}"
            raise ValueError(f"{rule}, got {name} of {type(metric).__name__}{did_you_mean(name, _GIVEN)}")


def _alone() -> bool:
    return False


def _update(metric: InstanceMetric, given: dict[str, Any], n_instances: int) -> None:
    """Update a metric, which must count a value for each instance, and not write into what it is given: it would train.

    The values of a block stand in their places among those of all instances.
    """
    before = _versions(given)
    metric.update(**given)
    if _versions(given) != before:
        raise ValueError(f"`metrics` must leave what they are given as it is, got {type(metric).__name__}.")
    if metric.total.ndim and metric.total.shape != (n_instances,):
        raise ValueError(
            f"`metrics` must add one value for each instance, got other shapes from {type(metric).__name__}."
        )


def _versions(given: dict[str, Any]) -> list[int]:
    # Tensors made in inference mode count no writes, but weights are never among them.
    return [value._version for value in given.values() if value is not None and not value.is_inference()]


def _nan_unless(finite: Bool[Tensor, " instance"], values: Tensor) -> Tensor:
    return values.where(finite.view(-1, *[1] * (values.ndim - 1)), torch.nan)


def _blocks(networks: Autoencoder, n_inputs: int) -> list[slice]:
    n_instances, n_features, n_hidden = networks.W_enc.shape
    at_once = numbers_at_once(networks.W_enc.device, _AT_ONCE)
    return cache_blocks(n_instances, max(n_inputs, n_features) * (n_features + n_hidden), at_once)


def _takes_inputs(metric: Metric) -> bool:
    return bool(metric._filter_kwargs(x=0, h=0, x_hat=0, loss=0))
