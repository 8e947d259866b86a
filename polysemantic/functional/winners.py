import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polysemantic.functional.carrying import covered_features, strongest


def winner_was_largest(
    w_start: Float[Tensor, "*instance feature hidden"],
    w_end: Float[Tensor, "*instance feature hidden"],
    threshold: float = 0.5,
) -> Float[Tensor, "*instance"]:
    r"""Share of final winners that led from the start, :math:`\arg\max_k |w^0_{ik}| = \arg\max_k |w_{ik}|`.

    Over the features carried at the end. 1 when initialisation decides every winner, about 1 / n_hidden when it says
    nothing.

    Args:
        w_start: Effective weights at initialisation, one row per feature.
        w_end: Effective weights at the end.
        threshold: Smallest final magnitude that counts as carried.

    Returns:
        One share per instance, in float64; nan where no feature is carried.

    Example:
        >>> start, end = torch.tensor([[0.2, 0.1], [0.1, 0.2]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> winner_was_largest(start, end).item()
        0.5
    """
    return _share(strongest(w_start).neuron == strongest(w_end).neuron, w_end, threshold)


def winner_kept_sign(
    w_start: Float[Tensor, "*instance feature hidden"],
    w_end: Float[Tensor, "*instance feature hidden"],
    threshold: float = 0.5,
) -> Float[Tensor, "*instance"]:
    r"""Share of final winners with the sign they began with, :math:`w^0_{ik} w_{ik} > 0` at the final winner k.

    Over the features carried at the end. 1 when no winner crossed zero, about 1/2 when initialisation says nothing.

    Args:
        w_start: Effective weights at initialisation, one row per feature.
        w_end: Effective weights at the end.
        threshold: Smallest final magnitude that counts as carried.

    Returns:
        One share per instance, in float64; nan where no feature is carried.

    Example:
        >>> start, end = torch.tensor([[0.2, 0.1], [0.1, 0.2]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> winner_kept_sign(start, end).item()
        0.5
    """
    winner = strongest(w_end).neuron.unsqueeze(-1)
    kept = w_start.gather(-1, winner).sign() == w_end.gather(-1, winner).sign()
    return _share(kept.squeeze(-1), w_end, threshold)


def _share(
    holds: Bool[Tensor, "*instance feature"], w_end: Float[Tensor, "*instance feature hidden"], threshold: float
) -> Float[Tensor, "*instance"]:
    return torch.where(covered_features(w_end, threshold), holds.double(), torch.nan).nanmean(-1)
