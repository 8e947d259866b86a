import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.functional.common.power_sums import power_sums


def features_per_neuron(
    w: Float[Tensor, "*instance feature hidden"], tolerance: float = 0.01
) -> Float[Tensor, "*instance"]:
    r"""Features per neuron, the mean over neurons not dead of :math:`(\sum_i w_{ik}^2)^2 / \sum_i w_{ik}^4`.

    1 when each live neuron holds one feature, n_features when each responds to all alike, about n_features / 3 for
    random directions: every neuron highly polysemantic.

    Args:
        w: Effective weights, one row per feature.
        tolerance: A neuron is dead when its :math:`\sum_i w_{ik}^2` is at most this share of the largest one, because
            Adam's jitter keeps weights of about one learning rate alive on neurons that hold nothing.

    Returns:
        One mean per instance, in float64; nan for a dead network.

    Raises:
        ValueError: If `tolerance` lies outside [0, 1).

    Example:
        >>> features_per_neuron(torch.tensor([[1.0, 0.0, 0.0], [-1.0, 1.0, 0.001]])).item()
        1.5
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"`tolerance` must lie in [0, 1), got {tolerance}.")
    second, fourth = power_sums(w, -2)
    alive = second > tolerance * second.amax(-1, keepdim=True)
    return torch.where(alive, second.square() / fourth, torch.nan).nanmean(-1)
