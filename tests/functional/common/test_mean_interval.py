import math

import pytest
import scipy.stats
import torch

from polysemantic import functional as F
from tests.support.weights import normal


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_mean_interval_matches_scipy_and_leaves_out_nan(level):
    values = normal(3, 7)
    values[1, 2:] = torch.nan
    interval = F.mean_interval(values, level)
    for at, row in enumerate(values):
        kept = row[~row.isnan()].numpy()
        low, high = scipy.stats.t.interval(level, len(kept) - 1, kept.mean(), scipy.stats.sem(kept))
        assert interval.mean[at].item() == pytest.approx(kept.mean())
        assert interval.half_width[at].item() == pytest.approx((high - low) / 2)


@pytest.mark.parametrize(("values", "mean"), [([], math.nan), ([math.nan], math.nan), ([2.0], 2), ([2, math.nan], 2)])
def test_an_interval_needs_two_values(values, mean):
    interval = F.mean_interval(torch.tensor(values, dtype=torch.float64))
    assert interval.mean.item() == pytest.approx(mean, nan_ok=True)
    assert math.isnan(interval.half_width.item())


def test_equal_values_have_an_interval_of_no_width():
    assert F.mean_interval(torch.full((5,), 3.0)).half_width.item() == 0


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_a_level_must_be_a_probability(level):
    with pytest.raises(ValueError, match=rf"`level` must lie in \(0, 1\), got {level}\."):
        F.mean_interval(torch.ones(3), level)
