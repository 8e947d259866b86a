from jaxtyping import Float, Int64
from torch import Tensor

from polysemantic.functional.carrying.carried import carried_signs, count_by_neuron


def polysemantic_neurons(
    w: Float[Tensor, "*instance feature hidden"], threshold: float = 0.5
) -> Int64[Tensor, "*instance"]:
    r"""Number of neurons that carry two features or more, :math:`\#\{k : \sum_i c_{ik} \ge 2\}`, c from `carried`.

    0 when every neuron is monosemantic, dead or part of a spread-out code (show `coverage` beside it); n_hidden when
    every neuron is shared.

    Args:
        w: Effective weights, one row per feature.
        threshold: Smallest magnitude that counts as carried.

    Returns:
        One count per instance.

    Example:
        >>> polysemantic_neurons(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])).item()
        1
    """
    positive, negative = carried_signs(w, threshold)
    return (positive + negative >= 2).sum(-1)


def polysemantic_neurons_band(
    w: Float[Tensor, "*instance feature hidden"], low: float = 0.8, high: float = 1.2
) -> Int64[Tensor, "*instance"]:
    r"""The paper's count, :math:`\#\{k : \sum_i [l \le |w_{ik}| \le h] \ge 2\}`.

    For comparison with the paper only: it reads 0 on spread-out codes and misses weights that L1 shrank below the band.
    Source: arXiv:2312.03096, collisions figure.

    Args:
        w: Effective weights, one row per feature.
        low: Lower end of the band.
        high: Upper end of the band.

    Returns:
        One count per instance, from 0 to n_hidden.

    Raises:
        ValueError: If the band is empty or reaches down to 0.

    Example:
        >>> polysemantic_neurons_band(torch.tensor([[1.0, 1.0], [-0.9, 0.7]])).item()
        1
    """
    if not 0 < low <= high:
        raise ValueError(f"`low` must lie in (0, high = {high}], got {low}.")
    above, beyond = count_by_neuron(w, low, lambda w: w.abs() >= low, lambda w: w.abs() > high)
    return (above - beyond >= 2).sum(-1)
