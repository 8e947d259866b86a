import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.functional.carrying.represented import represented_features
from polysemantic.functional.common.effective_weight import effective_weight
from polysemantic.functional.common.power_sums import power_sums
from polysemantic.validation.checks import check_at_least_one


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


def participation_ratio_null(n_hidden: int, n_draws: int = 4096) -> float:
    r"""Mean participation ratio of random directions, :math:`E[1 / \sum_k u_k^4]` for u uniform on the unit sphere.

    What `participation_ratio` gives on average under random rotations of the neurons, whatever the weights: each
    feature alone then points in a random direction. 1 for one neuron, about n_hidden / 3 for many. By simulation, with
    the same draws each time; its standard error is below 1 %.

    Args:
        n_hidden: Number of neurons.
        n_draws: Directions drawn.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> participation_ratio_null(1)
        1.0
    """
    check_at_least_one(n_hidden=n_hidden, n_draws=n_draws)
    rng = np.random.default_rng(0)
    fourth = []
    for start in range(0, n_draws, 256):
        squared = rng.standard_normal((min(256, n_draws - start), n_hidden)) ** 2
        fourth.append((squared / squared.sum(1, keepdims=True)) ** 2 @ np.ones(n_hidden))
    return float((1 / np.concatenate(fourth)).mean())
