from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from polysemantic.functional.collisions.interference_cost import interference_sums
from polysemantic.functional.common.cache_blocks import cache_blocks, numbers_at_once

# Numbers in one matrix of a cache block of instances: the sums of large ensembles are never all there at once.
_AT_ONCE = 2**20


# Share of all pairs up to which it takes less time to sum those asked for one by one than by products of matrices.
_FEW = 1 / 128


class PairSums(NamedTuple):
    """Squared error and squared input of chosen pairs, over inputs with exactly one of the two features on."""

    numerator: Float64[Tensor, " pair"]
    denominator: Float64[Tensor, " pair"]


def pair_sums(
    x: Float[Tensor, "instance batch feature"],
    x_hat: Float[Tensor, "instance batch feature"],
    instance: Int64[Tensor, " pair"],
    feature_i: Int64[Tensor, " pair"],
    feature_j: Int64[Tensor, " pair"],
) -> PairSums:
    r"""Terms of the interference cost of chosen pairs, :math:`N_{ij}` and :math:`D_{ij}` of `interference_sums`.

    Both add up over batches; their quotient is the pair's cost, nan if exactly one of the two was never on.

    Args:
        x: Inputs.
        x_hat: Their reconstructions.
        instance: Instance of each pair.
        feature_i: One feature of each.
        feature_j: The other.

    Returns:
        Two sums per pair, in double precision.

    Raises:
        ValueError: If the shapes of `x` and `x_hat` differ.

    Example:
        >>> from polysemantic.functional import pair_sums
        >>> here, i, j = torch.tensor([0]), torch.tensor([0]), torch.tensor([1])
        >>> pair_sums(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.0, 0.5]]]), here, i, j).numerator
        tensor([0.2500], dtype=torch.float64)
    """
    if x.shape != x_hat.shape:
        raise ValueError(f"`x_hat` must have the shape of `x`, {tuple(x.shape)}, got {tuple(x_hat.shape)}.")
    n_instances, batch, n_features = x.shape
    sums = PairSums(*(x.new_zeros(len(instance), dtype=torch.float64) for _ in range(2)))
    at_once = numbers_at_once(x.device, _AT_ONCE)
    # Decided for each instance by itself: its sums must not depend on those beside it.
    few = torch.bincount(instance, minlength=n_instances) <= _FEW * n_features**2
    for some in torch.split(few[instance].nonzero().squeeze(-1), max(1, at_once // batch)):
        for total, found in zip(
            sums, _one_by_one(x, x_hat, instance[some], feature_i[some], feature_j[some]), strict=True
        ):
            total[some] = found
    for block in cache_blocks(n_instances, max(batch, n_features) * n_features, at_once):
        inside = (~few[instance] & (instance >= block.start) & (instance < block.stop)).nonzero().squeeze(-1)
        if len(inside) > 0:
            matrices = interference_sums(x[block], x_hat[block])
            for total, matrix in zip(sums, matrices, strict=True):
                total[inside] = matrix[instance[inside] - block.start, feature_i[inside], feature_j[inside]]
    return sums


def _one_by_one(x: Tensor, x_hat: Tensor, instance: Tensor, feature_i: Tensor, feature_j: Tensor) -> PairSums:
    inputs = [x[instance, :, feature].double() for feature in (feature_i, feature_j)]
    outputs = [x_hat[instance, :, feature].double() for feature in (feature_i, feature_j)]
    alone = (inputs[0] > 0) ^ (inputs[1] > 0)
    errors = [x_hat - x for x_hat, x in zip(outputs, inputs, strict=True)]
    return PairSums(*((of[0].square_().add_(of[1].square_()) * alone).sum(-1) for of in (errors, inputs)))


def one_hot_pair_sums(
    x_hat: Float[Tensor, "instance feature feature"],
    instance: Int64[Tensor, " pair"],
    feature_i: Int64[Tensor, " pair"],
    feature_j: Int64[Tensor, " pair"],
) -> PairSums:
    r"""`pair_sums` where the inputs are every feature once: :math:`e_{ii}^2 + e_{ij}^2 + e_{ji}^2 + e_{jj}^2` over 2.

    Args:
        x_hat: Reconstructions of the identity matrix.
        instance: Instance of each pair.
        feature_i: One feature of each.
        feature_j: The other, not the same.

    Returns:
        Two sums per pair, in double precision.

    Example:
        >>> from polysemantic.functional import one_hot_pair_sums
        >>> here, i, j = torch.tensor([0]), torch.tensor([0]), torch.tensor([1])
        >>> one_hot_pair_sums(torch.tensor([[[1.0, 0.5], [0.0, 0.0]]]), here, i, j).numerator
        tensor([1.2500], dtype=torch.float64)
    """
    i, j = feature_i, feature_j
    own = [x_hat[instance, k, k].double() - 1 for k in (i, j)]
    others = [x_hat[instance, i, j].double(), x_hat[instance, j, i].double()]
    numerator = torch.stack([*own, *others]).square().sum(0)
    return PairSums(numerator, torch.full_like(numerator, 2))
