import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def random_rotations(normals: Float[Tensor, "*rotation hidden hidden"]) -> Float[Tensor, "*rotation hidden hidden"]:
    r"""Orthogonal matrices, uniform (Haar) if the entries of `normals` are independent standard normals.

    :math:`Q \, \mathrm{sign}(\mathrm{diag}\, R)` of :math:`QR =` `normals`. Without the signs the law of Q would
    depend on the QR algorithm's convention (arXiv:math-ph/0609050). Reflections occur as often as rotations.

    Args:
        normals: Standard normals, drawn by the caller.

    Returns:
        One orthogonal matrix for each matrix of `normals`.

    Example:
        >>> from polysemantic.functional import random_rotations
        >>> Q = random_rotations(torch.randn(16, 4, 4, generator=torch.Generator().manual_seed(0)))
        >>> torch.allclose(Q @ Q.mT, torch.eye(4), atol=1e-5)
        True
    """
    Q, R = torch.linalg.qr(normals)
    negative = R.diagonal(dim1=-2, dim2=-1) < 0
    return torch.where(negative[..., None, :], -Q, Q)


def sampled_rotation_gap(
    loss: Callable[[Tensor, Tensor], Float[Tensor, " instance"]],
    W_enc: Float[Tensor, "instance feature hidden"],
    W_dec: Float[Tensor, "instance feature hidden"],
    rotations: Float[Tensor, "rotation hidden hidden"] | Float[Tensor, "rotation instance hidden hidden"],
) -> Float[Tensor, " instance"]:
    r"""Loss that random rotations of the hidden space add, :math:`\langle L(W^{enc} Q, W^{dec} Q) \rangle_Q - L`.

    0: the neuron basis is not special, any rotation of the code is as good. Positive: training gains from the basis
    it is in. Negative: an average basis would be cheaper than the present one.

    Args:
        loss: Loss per instance of an encoder and a decoder. Every call must use the same inputs and the same noise,
            or their scatter drowns the gap.
        W_enc: Encoder.
        W_dec: Decoder. Tied: `W_enc` itself; `loss` then receives one tensor twice as well.
        rotations: Orthogonal matrices from `random_rotations`, shared by the instances or one for each; at least 16.

    Returns:
        One gap per instance, in double precision.

    Raises:
        ValueError: If `rotations` is empty.

    Example:
        >>> from polysemantic.functional import random_rotations, sampled_rotation_gap
        >>> def l1_of_one_hot_inputs(W_enc, W_dec):
        ...     return W_enc.abs().sum(-1).mean(-1)
        >>> rotations = random_rotations(torch.randn(16, 4, 4, generator=torch.Generator().manual_seed(0)))
        >>> W = torch.eye(4)[None]
        >>> (sampled_rotation_gap(l1_of_one_hot_inputs, W, W, rotations) > 0).item()
        True
    """
    if len(rotations) == 0:
        raise ValueError("`rotations` must hold at least one rotation, got none.")
    base = loss(W_enc, W_dec).double()
    total = torch.zeros_like(base)
    for Q in rotations:
        rotated = W_enc @ Q
        total += loss(rotated, rotated if W_dec is W_enc else W_dec @ Q) - base
    return total / len(rotations)


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
    g, in all directions q: then the gap is g times this one. Use `sampled_rotation_gap` for untied weights, relu and
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
