"""Bounds on how improbable counts are. They hold for any number of trials, so that a right count is never refused."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float64
from torch import Tensor


def binomial_surprise(counts: Tensor, trials: int | Tensor, p: Tensor) -> Float64[Tensor, "..."]:
    r"""How improbable it is that a binomial count lies so far from its mean, as -ln of a bound on the probability.

    .. math:: P \le e^{-s}, \qquad s = k \ln \frac{k}{n p} + (n - k) \ln \frac{n - k}{n (1 - p)}

    0 for a count that equals its mean; infinite for one that is impossible, as p = 0 or p = 1 make all but one.
    (Chernoff's bound, Hoeffding 1963, theorem 1: it holds exactly, on either side of the mean.)

    Args:
        counts: k, how often it happened.
        trials: n, how often it could have happened.
        p: The probability of a single trial.

    Example:
        >>> binomial_surprise(torch.tensor([5, 10]), 10, torch.tensor([0.5, 0.5]))
        tensor([0.0000, 6.9315], dtype=torch.float64)
    """
    k, p = counts.double(), p.double().clamp(0, 1)
    missed = trials - k
    happened = torch.xlogy(k, k) - torch.xlogy(k, trials * p)
    failed = torch.xlogy(missed, missed) - torch.xlogy(missed, trials * (1 - p))
    return (happened + failed).clamp_min(0)


def overlap_surprise(
    one: Bool[Tensor, "*trial feature"], other: Bool[Tensor, "*trial feature"]
) -> Float64[Tensor, " feature"]:
    """How improbable it is that two independent series have a feature on together so often, as -ln of a bound.

    Given how often it is on in each series, the common trials are hypergeometric, and a hypergeometric tail is at most
    that of the binomial (Hoeffding 1963, theorem 4). The probability of the feature need not be known. 0 where the two
    meet as often as expected, or less.

    Example:
        >>> twice = torch.tensor([[True], [False], [True], [False]])
        >>> overlap_surprise(twice, twice), overlap_surprise(twice, ~twice)
        (tensor([1.3863], dtype=torch.float64), tensor([0.], dtype=torch.float64))
    """
    trials, axes = one[..., 0].numel(), tuple(range(one.ndim - 1))
    a, b, both = one.sum(axes), other.sum(axes), (one & other).sum(axes)
    few, share = torch.minimum(a, b), torch.maximum(a, b).double() / trials
    return binomial_surprise(both, few, share).where(both > few * share, 0)


def uniform_surprise(values: Float64[Tensor, " value"]) -> float:
    r"""How improbable it is that independent draws from U[0, 1] lie so unevenly, as -ln of a bound.

    .. math:: P \le 2 e^{-s}, \qquad s = 2 n \sup_x |F_n(x) - x|^2

    (Dvoretzky, Kiefer and Wolfowitz 1956 with the constant of Massart 1990: it holds exactly for any n.)

    Example:
        >>> uniform_surprise(torch.ones(8, dtype=torch.float64))
        16.0
    """
    if len(values) == 0:
        return 0.0
    sorted_values = values.sort().values
    above = torch.arange(1, len(values) + 1, device=values.device) / len(values)
    gap = torch.maximum(above - sorted_values, sorted_values - above + 1 / len(values)).max()
    return float(2 * len(values) * gap**2)
