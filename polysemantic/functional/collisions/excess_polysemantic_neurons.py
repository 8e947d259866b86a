from jaxtyping import Float, Int
from torch import Tensor

from polysemantic.functional.carrying.polysemantic_neurons import polysemantic_neurons
from polysemantic.functional.carrying.represented import represented_features
from polysemantic.functional.common.effective_weight import effective_weight


def excess_polysemantic_neurons(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None = None,
    threshold: float = 0.5,
) -> Int[Tensor, "*instance"]:
    r"""Polysemantic neurons that were not needed, their number minus :math:`\max(0, r - m)`, r features represented.

    For one-hot inputs and m < n <= 2m, where r features on signed slots of m neurons force r - m of them to be shared:
    0 when polysemanticity is only what it must be, above when some of it is incidental. It falls below 0 where neurons
    carry three features or more, or the code is spread out, and says nothing there.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        threshold: Smallest weight that counts as carried, and own gain that counts as represented.

    Returns:
        One difference per instance.

    Example:
        >>> excess_polysemantic_neurons(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).item()
        1
        >>> excess_polysemantic_neurons(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])).item()
        0
    """
    count = polysemantic_neurons(effective_weight(W_enc, W_dec), threshold)
    n_represented = represented_features(W_enc, W_dec, threshold).sum(-1)
    return count - (n_represented - W_enc.shape[-1]).clamp(min=0)
