from jaxtyping import Float
from torch import Tensor


def reconstruction_error(
    x_hat: Float[Tensor, "*instance batch feature"], x: Float[Tensor, "*instance batch feature"]
) -> Float[Tensor, "*instance"]:
    r"""Squared error of an input, :math:`\frac{1}{B} \sum_b \sum_i (\hat x_{bi} - x_{bi})^2`.

    0 for a perfect autoencoder; the mean of :math:`|x|^2` for a dead one, 1 with one-hot inputs.

    Args:
        x_hat: Outputs.
        x: Inputs.

    Returns:
        One error per instance, in float64.

    Raises:
        ValueError: If the two shapes differ.

    Example:
        >>> reconstruction_error(torch.zeros(3, 3), torch.eye(3)).item()
        1.0
    """
    if x_hat.shape != x.shape:
        raise ValueError(f"`x_hat` must have the shape of `x`, {tuple(x.shape)}, got {tuple(x_hat.shape)}.")
    return (x_hat - x).square().sum(-1).double().mean(-1)
