"""Whether a matrix of co-occurrence is one that inputs can have."""

from __future__ import annotations

import torch
from torch import Tensor

from polysemantic.validation.user_classes import UserClassError

# Probabilities that are equal on paper differ by this much at most.
ROUNDING = 1e-9


def check_joint_form(joint: object, shape: tuple[int, int, int], device: torch.device, name: str) -> None:
    """Refuse what is no matrix of float64 for each instance.

    Args:
        joint: What was given.
        shape: Instances, features, features.
        device: Where it has to be.
        name: The method that gave it.

    Raises:
        UserClassError: If it is of another type, shape, precision or device.
    """
    if not isinstance(joint, Tensor) or tuple(joint.shape) != shape:
        given = tuple(joint.shape) if isinstance(joint, Tensor) else type(joint).__name__
        raise UserClassError(f"`{name}` must give a tensor of (instance, feature, feature) {shape}, got {given}.")
    if joint.dtype != torch.float64:
        raise UserClassError(f"`{name}` must give float64, got {joint.dtype}.")
    if joint.device.type != device.type:
        raise UserClassError(f"`{name}` must give a tensor on {device}, got one on {joint.device}.")


def check_possible(joint: Tensor, name: str, where: str = "") -> None:
    """Refuse probabilities that no inputs have.

    Args:
        joint: P(i and j on) for each pair of features, P(i on) on the diagonal, shape (feature, feature).
        name: The method that gave it.
        where: The grid point, for the message.

    Raises:
        UserClassError: If an entry is not finite or outside [0, 1], P(i and j on) is not P(j and i on), above P(i on),
            or below P(i on) + P(j on) - 1.
    """
    p = joint.diagonal()
    least = (p.unsqueeze(-1) + p - 1).clamp_min(0)
    broken = {
        "give finite numbers": joint.isfinite(),
        "give probabilities in [0, 1]": (joint >= -ROUNDING) & (joint <= 1 + ROUNDING),
        "give the same P(i and j on) as P(j and i on)": (joint - joint.mT).abs() <= ROUNDING,
        "give P(i and j on) at most P(i on), the diagonal": joint <= p.unsqueeze(-1) + ROUNDING,
        "give P(i and j on) at least P(i on) + P(j on) - 1": joint >= least - ROUNDING,
    }
    for rule, holds in broken.items():
        if not holds.all():
            i, j = (~holds).nonzero()[0].tolist()
            raise UserClassError(f"`{name}` must {rule}, got {_entries(joint, i, j)}{where}.")


def event(i: int, j: int) -> str:
    """The probability of two features on, or of one, in words.

    Example:
        >>> event(0, 1), event(2, 2)
        ('P(0 and 1 on)', 'P(2 on)')
    """
    return f"P({i} on)" if i == j else f"P({i} and {j} on)"


def _entries(joint: Tensor, i: int, j: int) -> str:
    shown = dict.fromkeys([(i, j), (j, i), (i, i), (j, j)])
    return ", ".join(f"{event(*pair)} = {float(joint[pair]):.4g}" for pair in shown)
