import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.functional.common.gram import squared_gram


def interference(
    W_enc: Float[Tensor, "*instance feature hidden"], W_dec: Float[Tensor, "*instance feature hidden"] | None = None
) -> Float[Tensor, "*instance feature feature"]:
    r"""What feature i adds to output j, :math:`e_i \cdot d_j` for :math:`i \ne j`.

    0 for features that do not disturb each other. Negative interference is free behind a ReLU while the two never
    co-occur (arXiv:2312.03096, section 3).

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied, and the matrix is then symmetric.

    Returns:
        A matrix with a zero diagonal, rows by input and columns by output.

    Example:
        >>> interference(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        tensor([[ 0., -1.],
                [-1.,  0.]])
    """
    gain = W_enc @ (W_enc if W_dec is None else W_dec).mT
    diagonal = torch.eye(gain.shape[-1], dtype=torch.bool, device=gain.device)
    return gain.masked_fill(diagonal, 0)


def mean_interference(
    W_enc: Float[Tensor, "*instance feature hidden"], W_dec: Float[Tensor, "*instance feature hidden"] | None = None
) -> Float[Tensor, "*instance"]:
    r"""Mean squared interference of all pairs of features, :math:`(e_i \cdot d_j)^2` over :math:`i \ne j`.

    0 when all features are orthogonal, 1 when they share one direction at full weight.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.

    Returns:
        One mean per instance, in float64; nan without a pair.

    Example:
        >>> mean_interference(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).item()
        1.0
    """
    return _off_diagonal(squared_gram(W_enc, W_dec)).mean((-2, -1))


def weighted_interference(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None,
    cooccurrence: Float[Tensor, "*#instance feature feature"],
) -> Float[Tensor, "*instance"]:
    r"""Mean squared interference of features that meet.

    .. math:: \sum_{i \ne j} p_{ij} (e_i \cdot d_j)^2 \Big/ \sum_{i \ne j} p_{ij}

    where :math:`p_{ij}` is the probability that i and j are on together, so that collisions which the inputs never show
    cost nothing here. 0 when co-occurring features are orthogonal, 1 when they share one direction at full weight.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        cooccurrence: P(i and j on), for each instance or for all of them; the diagonal is not used.

    Returns:
        One mean per instance, in float64; nan where no two features ever co-occur.

    Example:
        >>> weighted_interference(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), None, torch.full((2, 2), 0.1)).item()
        1.0
    """
    squared, weight = _off_diagonal(squared_gram(W_enc, W_dec)), _off_diagonal(cooccurrence.double())
    return (weight * squared).sum((-2, -1)) / weight.sum((-2, -1))


def _off_diagonal(matrix: Float[Tensor, "*instance n n"]) -> Float[Tensor, "*instance n-1 n"]:
    """All entries but the diagonal, in order: each diagonal entry is followed by n others."""
    n = matrix.shape[-1]
    return matrix.flatten(-2)[..., 1:].reshape(*matrix.shape[:-2], n - 1, n + 1)[..., :-1]
