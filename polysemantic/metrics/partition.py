import torch
from jaxtyping import Shaped
from torch import Tensor
from typing_extensions import override

from polysemantic.functional import partition_concentration, partition_energies, partition_energy, shared
from polysemantic.metrics.base import InstanceMetric, Matrix


class PartitionEnergy(InstanceMetric):
    """How far the hidden layer tells two parts of the features apart; 0 not at all, 2 or more it disambiguates.

    See `functional.partition_energy`. It is nan where the inputs have no two parts.

    Example:
        >>> metric = PartitionEnergy()
        >>> metric.update(torch.tensor([[[1.0, 1.0], [-1.0, 0.0]]]), partition=torch.tensor([1.0, -1.0]))
        >>> metric.compute()
        tensor([2.5000], dtype=torch.float64)
    """

    group = "partition"
    label = "partition energy"

    @override
    def update(
        self, W_enc: Matrix, W_dec: Matrix | None = None, *, partition: Shaped[Tensor, " feature"] | None
    ) -> None:
        self.add(partition_energy(_energies(W_enc, W_dec, partition)))


class PartitionConcentration(InstanceMetric):
    """Share of the partition energy in its largest neuron; 1 / n_hidden spread evenly, 1 one neuron holds it.

    See `functional.partition_concentration`. It is nan where the inputs have no two parts, or the network no energy.

    Example:
        >>> metric = PartitionConcentration()
        >>> metric.update(torch.tensor([[[1.0, 1.0], [-1.0, 0.0]]]), partition=torch.tensor([1.0, -1.0]))
        >>> metric.compute()
        tensor([0.8000], dtype=torch.float64)
    """

    group = "partition"
    label = "partition concentration"

    @override
    def update(
        self, W_enc: Matrix, W_dec: Matrix | None = None, *, partition: Shaped[Tensor, " feature"] | None
    ) -> None:
        self.add(partition_concentration(_energies(W_enc, W_dec, partition)))


@shared
def _energies(W_enc: Tensor, W_dec: Tensor | None, partition: Tensor | None) -> Tensor:
    if partition is None:
        return torch.full_like(W_enc[:, 0], torch.nan)
    w_enc = W_enc.double()
    return partition_energies(w_enc, w_enc if W_dec is None else W_dec.double(), partition)
