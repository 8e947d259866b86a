"""Features in consecutive groups of one size."""

import torch
from jaxtyping import Float64
from torch import Tensor


def check_group_size(name: str, size: int, n_features: int) -> None:
    """Refuse a group size that does not divide the features into equal groups.

    Raises:
        ValueError: If `size` is below 1 or does not divide `n_features`.
    """
    if size < 1 or n_features % size:
        raise ValueError(f"`{name}` must divide `n_features`, {n_features}, got {size}.")


def group_matrix(
    n_features: int,
    size: int,
    diagonal: Float64[Tensor, "instance 1 1"],
    within: Float64[Tensor, "instance 1 1"],
    across: Float64[Tensor, "instance 1 1"],
) -> Float64[Tensor, "instance feature feature"]:
    """A matrix over features in consecutive groups of `size`, with one value for each kind of entry.

    Example:
        >>> one = torch.ones(1, 1, 1, dtype=torch.float64)
        >>> group_matrix(4, 2, diagonal=one, within=2 * one, across=3 * one)[0].int()
        tensor([[1, 2, 3, 3],
                [2, 1, 3, 3],
                [3, 3, 1, 2],
                [3, 3, 2, 1]], dtype=torch.int32)
    """
    feature = torch.arange(n_features, device=diagonal.device)
    group = feature // size
    matrix = torch.where(group == group.unsqueeze(-1), within, across)
    return torch.where(feature == feature.unsqueeze(-1), diagonal, matrix)
