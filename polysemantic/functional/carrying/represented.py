from jaxtyping import Bool, Float
from torch import Tensor

from polysemantic.functional.carrying.carried import check_threshold
from polysemantic.functional.common.power_sums import power_sums


def represented_features(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None = None,
    threshold: float = 0.5,
) -> Bool[Tensor, "*instance feature"]:
    r"""Which features the network gives back, :math:`e_i \cdot d_i \ge \theta`, on however many neurons.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        threshold: Smallest gain from a feature to its own output that counts.

    Returns:
        True for features whose own gain reaches the threshold: all once trained well, none in a dead network.

    Raises:
        ValueError: If `threshold` is not positive.

    Example:
        >>> represented_features(torch.tensor([[0.6, 0.6], [0.6, 0.0]]))
        tensor([ True, False])
    """
    check_threshold(threshold)
    gain = power_sums(W_enc).second if W_dec is None else (W_enc * W_dec).sum(-1)
    return gain >= threshold


def represented(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None = None,
    threshold: float = 0.5,
) -> Float[Tensor, "*instance"]:
    r"""Share of features that the network gives back, :math:`\frac{1}{n} \sum_i [e_i \cdot d_i \ge \theta]`.

    0 for a dead network, 1 when every feature is reconstructed; unlike `coverage` it does not depend on the basis.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder; `None` if tied.
        threshold: Smallest gain from a feature to its own output that counts.

    Returns:
        One share per instance, in float64.

    Example:
        >>> represented(torch.tensor([[0.6, 0.6], [0.6, 0.0]])).item()
        0.5
    """
    return represented_features(W_enc, W_dec, threshold).double().mean(-1)
