import torch
from jaxtyping import Float, Int64
from torch import Tensor

from polysemantic.functional.common.power_sums import power_sums


def hidden_kurtosis_sums(
    h: Float[Tensor, "*instance batch hidden"],
) -> tuple[Float[Tensor, "*instance"], Int64[Tensor, "*instance"]]:
    r"""Sum of the excess kurtosis over inputs with :math:`h \ne 0`, and their number.

    Both add up over batches; see `hidden_excess_kurtosis`, their ratio.

    Args:
        h: Hidden activations.

    Returns:
        The sum, in double precision, and the count.

    Example:
        >>> from polysemantic.functional import hidden_kurtosis_sums
        >>> total, count = hidden_kurtosis_sums(torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]))
        >>> total.item(), count.item()
        (-3.0, 2)
    """
    second, fourth = power_sums(h)
    used = second > 0
    excess = torch.where(used, h.shape[-1] * fourth / second.square() - 3, 0)
    return excess.sum(-1), used.sum(-1)


def hidden_excess_kurtosis(h: Float[Tensor, "*instance batch hidden"]) -> Float[Tensor, "*instance"]:
    r"""Excess kurtosis of the hidden activations across neurons, averaged over the inputs.

    :math:`\langle m \sum_k h_k^4 / (\sum_k h_k^2)^2 - 3 \rangle` over inputs with :math:`h \ne 0`.

    m - 3: each input lights one neuron. -2: all neurons are equally active. What a random rotation gives is not 0
    but -6/(m+2) (`hidden_excess_kurtosis_null`): that is where the neuron basis is not special.

    Each input is scaled by its own norm because the usual null, a kurtosis of 3, fails for sparse inputs. Pooled
    over inputs, activations mix scales (no feature on, one, two, ...), and rotation gives
    :math:`\frac{3m}{m+2} \langle |h|^4 \rangle / \langle |h|^2 \rangle^2 - 3`, which is above 0 wherever scales vary
    enough and says nothing of the basis. Scaled, a rotated input is a uniform point of the sphere, whose coordinates
    are bounded and so fall short of a Gaussian's 3, by exactly 6/(m+2).

    Args:
        h: Hidden activations.

    Returns:
        One value per instance; nan if no input has an activation other than 0.

    Example:
        >>> from polysemantic.functional import hidden_excess_kurtosis
        >>> hidden_excess_kurtosis(torch.eye(8)).item()
        5.0
    """
    total, count = hidden_kurtosis_sums(h)
    return total / count  # 0 / 0 is the nan we want


def hidden_excess_kurtosis_null(n_hidden: int) -> float:
    r"""Mean of `hidden_excess_kurtosis` under random rotations of the hidden space, :math:`-6 / (m + 2)`.

    Exact for any inputs and weights if the hidden layer is linear. -2 with one neuron, and towards 0, the value of
    Gaussian activations, with many.

    Args:
        n_hidden: Number of neurons m.

    Returns:
        The null mean.

    Raises:
        ValueError: If `n_hidden` is below 1.

    Example:
        >>> from polysemantic.functional import hidden_excess_kurtosis_null
        >>> hidden_excess_kurtosis_null(10)
        -0.5
    """
    if n_hidden < 1:
        raise ValueError(f"`n_hidden` must be at least 1, got {n_hidden}.")
    return -6 / (n_hidden + 2)
