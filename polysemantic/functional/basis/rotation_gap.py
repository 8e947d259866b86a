import math
from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.functional.basis.rotations import rotated_networks


def _kappa(n_hidden: int) -> float:
    # lgamma because the gamma function overflows a double above 171.
    log_ratio = math.lgamma(n_hidden / 2) - math.lgamma((n_hidden + 1) / 2)
    return n_hidden * math.exp(log_ratio) / math.sqrt(math.pi)


def rotation_gap_closed_form(
    h: Float[Tensor, "*instance batch hidden"], l1: float | Float[Tensor, "*instance"]
) -> Float[Tensor, "*instance"]:
    r"""Loss that random rotations of the hidden space add, without sampling them, for tied linear networks.

    :math:`\lambda \langle \kappa_m |h|_2 - |h|_1 \rangle_x`, with
    :math:`\kappa_m = m \Gamma(m/2) / (\sqrt{\pi}\, \Gamma((m+1)/2))`, the mean :math:`|u|_1` of a random unit vector.

    It covers a linear hidden layer without noise and weights c_k = 1 on the L1 term (tied). The reconstruction then
    does not change under rotation and only the L1 norm of h does. Untied, :math:`c_k = |W^{dec}_k|_2` turns along, and
    the rotated term :math:`|h \cdot q| \, |W^{dec} q|_2` has no closed mean, except where the decoder is equally long,
    g, in all directions q: then the gap is g times this one. Use `rotation_gap_by_frames` for untied weights, relu and
    noise.

    0: no L1, or activations of a random basis. The largest value, :math:`\lambda (\kappa_m - 1) |h|_2`, says that each
    input lights one neuron.

    Args:
        h: Hidden activations.
        l1: Coefficient of the L1 term, one for all instances or one each.

    Returns:
        One gap per instance, in double precision.

    Example:
        >>> from polysemantic.functional import rotation_gap_closed_form
        >>> round(rotation_gap_closed_form(torch.eye(2), l1=1.0).item(), 4)
        0.2732
    """
    rotated = _kappa(h.shape[-1]) * h.square().sum(-1, dtype=torch.float64).sqrt()
    return l1 * (rotated - h.abs().sum(-1, dtype=torch.float64)).mean(-1)


def rotation_gap_by_frames(
    losses: Iterable[Callable[[Tensor, Tensor], Float[Tensor, " instance"]]],
    W_enc: Float[Tensor, "instance feature hidden"],
    W_dec: Float[Tensor, "instance feature hidden"],
    normals: Iterable[Float[Tensor, "hidden rank"]],
) -> Float[Tensor, " instance"]:
    r"""Loss that random rotations of the hidden space add, :math:`\langle L(W^{enc} Q, W^{dec} Q) \rangle_Q - L`.

    0: the neuron basis is not special. Positive: training gains from the basis it is in. Negative: an average basis
    would be cheaper than the present one. The rotated networks are those of `rotated_networks`.

    Args:
        losses: For each rotation the loss per instance of an encoder and a decoder. It compares the network with its
            rotated copy, so both must see the same inputs and the same noise. Fresh noise for each rotation is best:
            the scatter of the network's own loss over noise is otherwise the larger part of the error.
        W_enc: Encoder.
        W_dec: Decoder; tied: `W_enc` itself.
        normals: Standard normals for each rotation, with the rank from `rotation_rank`.

    Returns:
        One gap per instance, in double precision.

    Raises:
        ValueError: If there is no loss, not one of `normals` for each, or `normals` is not of the networks' rank.

    Example:
        >>> from polysemantic.functional import rotation_gap_by_frames
        >>> def l1_of_one_hot_inputs(W_enc, W_dec):
        ...     return W_enc.abs().sum(-1).mean(-1)
        >>> W = torch.eye(4)[None]
        >>> (rotation_gap_by_frames([l1_of_one_hot_inputs] * 16, W, W, torch.randn(16, 4, 4)) > 0).item()
        True
    """
    gaps, measured = [], None
    for loss, rotated in zip(losses, rotated_networks(W_enc, W_dec, normals), strict=True):
        if loss is not measured:
            base, measured = loss(W_enc, W_dec).double(), loss
        gaps.append(loss(*rotated) - base)
    if not gaps:
        raise ValueError("`losses` must hold at least one loss, got none.")
    return torch.stack(gaps).mean(0)
