import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.functional.common.memoisation import shared


@shared
def effective_weight(
    W_enc: Float[Tensor, "*instance feature hidden"],
    W_dec: Float[Tensor, "*instance feature hidden"] | None = None,
) -> Float[Tensor, "*instance feature hidden"]:
    r"""Signed geometric mean of the two matrices, :math:`w_{ik} = \mathrm{sign}(e_{ik}) \sqrt{\max(0, e_{ik} d_{ik})}`.

    It is what one neuron contributes to a feature's own output, whatever the scale is split into: L1 shrinks an untied
    encoder and grows its decoder, so that thresholds on the encoder alone see nothing. 1 (or -1) means that the neuron
    reconstructs the feature by itself; 0 that it does not help, or that encoder and decoder disagree in sign.

    Args:
        W_enc: Encoder, one row per feature.
        W_dec: Decoder of the same shape; `None` if it is tied to the encoder.

    Returns:
        Weights of the same shape; `W_enc` itself when tied.

    Raises:
        ValueError: If the two shapes differ.

    Example:
        >>> effective_weight(torch.tensor([[-0.1, 0.1]]), torch.tensor([[-10.0, -10.0]]))
        tensor([[-1.,  0.]])
    """
    if W_dec is None:
        return W_enc
    if W_dec.shape != W_enc.shape:
        raise ValueError(f"`W_dec` must have the shape of `W_enc`, {tuple(W_enc.shape)}, got {tuple(W_dec.shape)}.")
    return torch.copysign((W_enc * W_dec).clamp(min=0).sqrt(), W_enc)


@shared
def magnitude(w: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Absolute values."""
    return w.abs()
