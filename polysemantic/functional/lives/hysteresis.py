from jaxtyping import Bool, Float
from torch import Tensor


def hysteresis(
    on: Bool[Tensor, "*instance feature hidden"],
    w: Float[Tensor, "*instance feature hidden"],
    *,
    born: float = 0.5,
    ended: float = 0.3,
) -> Bool[Tensor, "*instance feature hidden"]:
    r"""Weights that are on, from :math:`|w| \ge` `born` until :math:`|w| <` `ended`.

    With `ended` = `born` it is a plain threshold, which counts every jitter of the optimiser around it as a new life.
    With `ended` = 0 nothing ever goes off.

    Args:
        on: Weights that were on when last seen.
        w: Effective weights now.
        born: Magnitude from which a weight is on.
        ended: Magnitude below which it is off again.

    Returns:
        A mask like `on`.

    Raises:
        ValueError: If `ended` does not lie in [0, born].

    Example:
        >>> from polysemantic.functional import hysteresis
        >>> hysteresis(torch.tensor([[True, False, True]]), torch.tensor([[0.4, 0.4, -0.2]]))
        tensor([[ True, False, False]])
    """
    if not 0 <= ended <= born:
        raise ValueError(f"`ended` must lie in [0, {born}], got {ended}.")
    magnitude = w.abs()
    return (magnitude >= born) | (on & (magnitude >= ended))
