import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.functional.common.gram import squared_gram


def feature_dimensionality(W: Float[Tensor, "*instance feature hidden"]) -> Float[Tensor, "*instance feature"]:
    r"""Dimensions that each feature has to itself, :math:`D_i = |W_i|^2 / \sum_j (\hat W_i \cdot W_j)^2`.

    1 for a feature orthogonal to all others, 1/2 for each of an antipodal pair, 1/s for one of s features in the same
    direction, 0 for a feature that is not encoded. Source: Elhage et al., Toy Models of Superposition, 2022.

    Args:
        W: Encoder, one row per feature.

    Returns:
        One value per instance and feature, in float64.

    Example:
        >>> feature_dimensionality(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])).tolist()
        [0.5, 0.5, 1.0, 0.0]
    """
    squared = squared_gram(W)
    own = squared.diagonal(dim1=-2, dim2=-1)
    # The diagonal term alone makes the sum at least `own`: it is 0 only with it.
    return torch.where(own > 0, own / squared.sum(-1), 0.0)
