import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.functional.carrying import represented_features
from polysemantic.functional.power_sums import power_sums
from polysemantic.functional.weights import effective_weight


def participation_ratio(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None = None,
    threshold: float = 0.5,
) -> Float[Tensor, "*instance"]:
    r"""Neurons per feature, the mean over represented features of :math:`(\sum_k w_{ik}^2)^2 / \sum_k w_{ik}^4`.

    1 when each feature lies on one neuron, n_hidden when each is spread evenly, about n_hidden / 3 for random
    directions.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        threshold: Smallest own gain of a feature that counts as represented.

    Returns:
        One mean per instance, in float64; nan where no feature is represented.

    Example:
        >>> participation_ratio(torch.tensor([[0.5, 0.5, 0.5, -0.5], [0.1, 0.0, 0.0, 0.0]])).item()
        4.0
    """
    second, fourth = power_sums(effective_weight(W_enc, W_dec))
    ratio = second.square() / fourth
    return torch.where(represented_features(W_enc, W_dec, threshold), ratio, torch.nan).nanmean(-1)
