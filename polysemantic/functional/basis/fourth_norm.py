from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.functional.common.gram import squared_gram
from polysemantic.functional.common.power_sums import power_sums


class FourthNormNull(NamedTuple):
    """First two moments of `fourth_norm` under a random rotation of the neurons."""

    mean: Float[Tensor, "*instance"]
    variance: Float[Tensor, "*instance"]


def fourth_norm(w: Float[Tensor, "*instance feature hidden"]) -> Float[Tensor, "*instance"]:
    r"""Concentration of features on single neurons, :math:`f_4 = \frac{1}{n} \sum_i \sum_k w_{ik}^4`.

    For rows of length 1 it runs from 1 / n_hidden (every feature spread evenly) to 1 (every feature on one neuron); a
    random direction gives 3 / (n_hidden + 2). It is the term that noise of non-zero excess kurtosis adds to the loss.
    Source: arXiv:2312.03096, norms figure.

    Args:
        w: Effective weights, one row per feature.

    Returns:
        One value per instance, in float64; 0 for a dead network.

    Example:
        >>> fourth_norm(torch.eye(4)).item()
        1.0
    """
    return power_sums(w).fourth.mean(-1)


def fourth_norm_null(w: Float[Tensor, "*instance feature hidden"]) -> FourthNormNull:
    r"""Exact mean and variance of `fourth_norm` of w Q over uniformly random rotations Q.

    .. math::
        E = \frac{1}{n} \sum_i \frac{3 |w_i|^4}{m + 2}, \qquad
        \mathrm{Var} = \frac{V}{n^2} \sum_{ij} |w_i|^4 |w_j|^4 P(c_{ij}), \qquad
        V = \frac{24 (m - 1)}{(m + 2)^2 (m + 4) (m + 6)}, \qquad
        P(c) = \frac{(m + 2)(m + 4) c^4 - 6 (m + 2) c^2 + 3}{m^2 - 1}

    with :math:`c_{ij}` the cosine of rows i and j. P is the degree-4 zonal harmonic scaled to P(1) = 1, because
    :math:`\sum_k u_k^4` minus its mean is a spherical harmonic of degree 4. The variance is 0 where no rotation changes
    the fourth norm: one neuron, a dead network, rows that form a spherical design.

    Args:
        w: Effective weights, one row per feature.

    Returns:
        Two values per instance, in float64.

    Example:
        >>> null = fourth_norm_null(torch.tensor([[1.0, 0.0]]))
        >>> null.mean.item(), null.variance.item()
        (0.75, 0.03125)
    """
    n, m = w.shape[-2:]
    mean = _null_mean(w)
    if m == 1:
        return FourthNormNull(mean, torch.zeros_like(mean))
    # Multiplied out, so that a row of zeros needs no cosine.
    length, squared = power_sums(w).second, squared_gram(w)
    c0 = length.square().sum(-1).square()
    c2 = ((squared @ length.unsqueeze(-1)).squeeze(-1) * length).sum(-1)
    c4 = squared.flatten(-2).norm(dim=-1).square()
    total = ((m + 2) * (m + 4) * c4 - 6 * (m + 2) * c2 + 3 * c0) / (m**2 - 1)
    scale = 24 * (m - 1) / ((m + 2) ** 2 * (m + 4) * (m + 6))
    return FourthNormNull(mean, (scale / n**2 * total).clamp(min=0))


def privilege(w: Float[Tensor, "*instance feature hidden"]) -> Float[Tensor, "*instance"]:
    r"""How special the neuron basis is, :math:`(f_4 - E) / (\frac{1}{n} \sum_i |w_i|^4 - E)`, E the null mean.

    0 for weights in random directions, 1 when every feature lies on one neuron, negative when features avoid the
    neurons' axes (-2 / n_hidden when each is spread evenly over all of them).

    Args:
        w: Effective weights, one row per feature.

    Returns:
        One value per instance, in float64; nan for one neuron or a dead network, where no direction is special.

    Example:
        >>> privilege(torch.eye(4)).item()
        1.0
    """
    mean = _null_mean(w)
    span = power_sums(w).second.square().mean(-1) - mean
    return _ratio(fourth_norm(w) - mean, span, defined=span > 1e-12 * mean)


def privilege_z(w: Float[Tensor, "*instance feature hidden"]) -> Float[Tensor, "*instance"]:
    r"""Standard score of the fourth norm against random rotations, :math:`z = (f_4 - E) / \sqrt{\mathrm{Var}}`.

    Mean 0 and standard deviation 1 for weights in random directions (skewed for few features and neurons); far above
    when training aligns features with neurons, below 0 when it keeps them off, as Adam alone does slightly.

    Args:
        w: Effective weights, one row per feature.

    Returns:
        One score per instance, in float64; nan where no rotation changes the fourth norm, as with one neuron.

    Example:
        >>> round(privilege_z(torch.eye(64)).item())
        874
    """
    mean, variance = fourth_norm_null(w)
    # Rounding leaves some 1e-16 of mean^2; genuine variances are above 1e-9 of it up to millions of weights.
    return _ratio(fourth_norm(w) - mean, variance.sqrt(), defined=variance > 1e-12 * mean.square())


def _null_mean(w: Float[Tensor, "*instance feature hidden"]) -> Float[Tensor, "*instance"]:
    return 3 / (w.shape[-1] + 2) * power_sums(w).second.square().mean(-1)


def _ratio(
    numerator: Float[Tensor, "*instance"], denominator: Float[Tensor, "*instance"], defined: Tensor
) -> Float[Tensor, "*instance"]:
    return torch.where(defined, numerator / denominator, torch.nan)
