from jaxtyping import Float
from torch import Tensor

from polysemantic.functional.carrying.strongest import strongest
from polysemantic.functional.common.count import count
from polysemantic.functional.common.effective_weight import magnitude


def sparsity_count(w: Float[Tensor, "*instance feature hidden"], tolerance: float = 0.01) -> Float[Tensor, "*instance"]:
    r"""Neurons that still hold a feature, the mean over features of :math:`\#\{k : |w_{ik}| > \tau \max_l |w_{il}|\}`.

    n_hidden at initialisation (nearly), 1 once each feature is on one neuron, 0 for a dead network. The theory curve is
    `polysemantic.theory.sparsity_law`; this count runs up to 3 times above it.

    Args:
        w: Effective weights, one row per feature.
        tolerance: Share of the feature's largest weight that a neuron must exceed.

    Returns:
        One mean per instance, in float64.

    Raises:
        ValueError: If `tolerance` lies outside [0, 1).

    Example:
        >>> sparsity_count(torch.tensor([[1.0, 0.5, 0.001], [0.0, 1.0, 0.0]])).item()
        1.5
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"`tolerance` must lie in [0, 1), got {tolerance}.")
    held = magnitude(w) > tolerance * strongest(w).magnitude.unsqueeze(-1)
    return count(held, -2).sum(-1).double() / w.shape[-2]


def l1_norm(w: Float[Tensor, "*instance feature hidden"]) -> Float[Tensor, "*instance"]:
    r"""Mean L1 norm of a feature, :math:`\frac{1}{n} \sum_{ik} |w_{ik}|`.

    For rows of length 1 it runs from 1 (one neuron) to sqrt(n_hidden) (spread evenly). The theory curve is
    `polysemantic.theory.l1_norm_law`.

    Args:
        w: Effective weights, one row per feature.

    Returns:
        One mean per instance, in float64; 0 for a dead network.

    Example:
        >>> l1_norm(torch.tensor([[0.5, -0.5, 0.5, 0.5]])).item()
        2.0
    """
    return magnitude(w).sum(-1).double().mean(-1)
