from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor


class MeanInterval(NamedTuple):
    """Confidence interval of a mean, mean - half_width to mean + half_width."""

    mean: Float[Tensor, "*group"]
    half_width: Float[Tensor, "*group"]


def mean_interval(values: Float[Tensor, "*group value"], level: float = 0.95) -> MeanInterval:
    r"""Mean and Student-t half width, :math:`\bar v \pm t_{N-1} s / \sqrt N`, over the last axis.

    The half width is 0 for equal values and grows without bound as `level` goes to 1.

    Args:
        values: Independent values, one network each; nan marks those where the measure is undefined and is left out.
        level: Probability that the interval covers the true mean.

    Returns:
        Mean and half width in float64; the mean is nan without values, the half width with fewer than two.

    Raises:
        ValueError: If `level` lies outside (0, 1).

    Example:
        >>> interval = mean_interval(torch.tensor([1.0, 2.0, 3.0, torch.nan]))
        >>> interval.mean.item(), round(interval.half_width.item(), 3)
        (2.0, 2.484)
    """
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie in (0, 1), got {level}.")
    values = values.double()
    count = values.isnan().logical_not().sum(-1)
    mean = values.nanmean(-1)
    freedom = (count - 1).double().masked_fill(count < 2, torch.nan)
    variance = (values - mean.unsqueeze(-1)).square().nansum(-1) / freedom
    quantile = torch.as_tensor(stdtrit(freedom.cpu().numpy(), (1 + level) / 2), device=values.device)
    return MeanInterval(mean, quantile * (variance / count).sqrt())
