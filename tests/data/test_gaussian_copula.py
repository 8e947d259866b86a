from __future__ import annotations

import pytest
from scipy import stats

from polysemantic.data import GaussianCopula
from tests.support.inputs import on


@pytest.mark.parametrize("probability", [1e-4, 0.01, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("rho", [0.0, 0.2, 0.7, 0.99])
def test_the_copula_s_orthant_probability_is_that_of_the_bivariate_normal(probability, rho):
    data = GaussianCopula(4, probability, rho, block_size=2)
    joint, threshold = data.cooccurrence()[0], stats.norm.ppf(probability)
    expected = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([threshold, threshold])
    assert joint[0, 1].item() == pytest.approx(expected, rel=1e-6)
    assert joint[0, 2].item() == pytest.approx(probability**2)
    assert rho == 0 or 0 < data.phi()[0, 0, 1] < rho


def test_fully_correlated_blocks_of_the_copula_are_on_or_off_as_one():
    together = on(GaussianCopula(8, 0.5, 1.0, block_size=4)).unflatten(-1, (2, 4)).sum(-1)
    assert set(together.unique().tolist()) == {0, 4}
