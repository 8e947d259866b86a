from jaxtyping import Float, Float64
from torch import Tensor

from polysemantic.functional.common.memoisation import shared


@shared
def gram(
    W: Float[Tensor, "*instance feature hidden"], other: Float[Tensor, "*instance feature hidden"] | None = None
) -> Float64[Tensor, "*instance feature feature"]:
    r"""Products of all pairs of rows, :math:`w_i \cdot v_j`, in float64.

    Args:
        W: One row per feature.
        other: The rows v; `None` for those of `W` again.

    Returns:
        A matrix, the identity if the rows are orthonormal.

    Example:
        >>> gram(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    w = W.double()
    return w @ (w if other is None else other.double()).mT


@shared
def squared_gram(
    W: Float[Tensor, "*instance feature hidden"], other: Float[Tensor, "*instance feature hidden"] | None = None
) -> Float64[Tensor, "*instance feature feature"]:
    """Squares of the entries of `gram`."""
    return gram(W, other).square()
