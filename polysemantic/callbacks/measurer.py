from __future__ import annotations

import functools
import inspect
import operator

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchmetrics import Metric

from polysemantic.callbacks.costly import measure_costly
from polysemantic.callbacks.networks import gathered
from polysemantic.data import InputDataModule
from polysemantic.functional import all_finite, instance_blocks, sharing
from polysemantic.metrics.agreement import check_values, update_metric, value_of
from polysemantic.metrics.base import InstanceMetric
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.results.predictions import EXCESS, where_holds
from polysemantic.training.allocator import trim_heap
from polysemantic.training.module import EnsembleModule
from polysemantic.validation.suggestions import did_you_mean

# Entries of weights, activations and Gram matrices measured together: on a CPU few enough for its cache.
_AT_ONCE = 3 * 2**18
# What the `update` of a metric may ask for.
_AT_START = ("led_at_start", "signs_at_start", "w_start")
_WEIGHTS = ("W_enc", "W_dec", "b_dec")
_GIVEN = (*_WEIGHTS, *_AT_START, "l1", "signed_slots", "cooccurrence", "partition", "x", "h", "x_hat", "loss")


class Measurer:
    """Takes one measurement of all networks of a run after another: `begin`, an `update` for each batch, `compute`.

    Args:
        metrics: What is measured of the weights and of the evaluation draws. A measurement is written into their
            states, so that two measurers must not share a metric.
        partition: +1 or -1 for each feature, the two parts that disambiguation is measured for; None for those of the
            inputs, if they have any.
    """

    def __init__(self, metrics: list[InstanceMetric], partition: list[int] | None = None) -> None:
        self._metrics = metrics
        self._given_partition = partition
        self._constant: dict[str, Tensor] = {}

    def begin(self, module: EnsembleModule) -> None:
        """Forget earlier updates and take the networks as they are now; they must not change before `compute`."""
        trim_heap()  # The steps have freed allocations of other sizes.
        weights = module.networks.weights
        self._module, self._shard = module, module.shard
        self._finite = all_finite(weights.W_enc, weights.W_dec, weights.b_dec)
        if not self._constant:
            self._constant = {"cooccurrence": module.data.joint(), "l1": module.number("l1").to(weights.W_enc)}
            self._constant |= {
                name: kept.to(weights.W_enc.device) for name, kept in module.initial_traits._asdict().items()
            }
            self._constant["signed_slots"] = where_holds(EXCESS, module).to(weights.W_enc.device)
            if any(metric._filter_kwargs(w_start=0) for metric in self._metrics):
                self._constant["w_start"] = module.w_start.to(weights.W_enc)
            self._partition = self._partition_of(module.data)
        for metric in self._metrics:
            # Values are put together once for all metrics, in `compute`.
            metric.distributed_available_fn = _alone
            if metric.device != weights.W_enc.device:
                metric.to(weights.W_enc.device)
            metric.reset()
        self._due = self._metrics

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
                    update_metric(metric, metric._filter_kwargs(**here), len(networks.W_enc))
        # What depends on the weights alone is measured once, with the first batch.
        self._due = list(filter(_takes_inputs, self._metrics))

    def compute(self) -> dict[str, Tensor]:
        """The value of each column for each instance of the run, in float64 on the CPU; nan for one that diverged."""
        columns = {}
        trained = max(self._module.trainer.global_step, self._module.trained_steps) > 0
        for metric in self._metrics:
            values = value_of(metric, len(self._finite)).where(self._finite, torch.nan)
            check_values(metric, values, trained=trained)
            columns[metric.column()] = values.cpu()
        return gathered(columns, self._shard)

    def compute_costly(self) -> dict[str, Tensor]:
        """The costly columns of the networks that `begin` took, for each instance of the run."""
        return measure_costly(self._module, self._partition)

    def _partition_of(self, data: InputDataModule) -> Float[Tensor, " feature"] | None:
        """The two parts of the features that were given, or those of the inputs."""
        if self._given_partition is None:
            return data.partition
        return torch.tensor(self._given_partition, dtype=torch.float32, device=data.device)


def check_arguments(metric: InstanceMetric) -> None:
    """Refuse a metric whose `update` asks for what there is not.

    Raises:
        ValueError: If it does.
    """
    for name, parameter in inspect.signature(metric.update).parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if needed and name not in _GIVEN:
            rule = f"`metrics` must take nothing but {', '.join(_GIVEN)}"
            raise ValueError(f"{rule}, got {name} of {type(metric).__name__}{did_you_mean(name, _GIVEN)}")


def _alone() -> bool:
    return False


def _nan_unless(finite: Bool[Tensor, " instance"], values: Tensor) -> Tensor:
    return values.where(finite.view(-1, *[1] * (values.ndim - 1)), torch.nan)


def _blocks(networks: Autoencoder, n_inputs: int) -> list[slice]:
    _, n_features, n_hidden = networks.W_enc.shape
    return instance_blocks(networks.W_enc, max(n_inputs, n_features) * (n_features + n_hidden), _AT_ONCE)


def _takes_inputs(metric: Metric) -> bool:
    return bool(metric._filter_kwargs(x=0, h=0, x_hat=0, loss=0))
