import numpy as np
import pytest
import torch
from scipy import stats

from polysemantic.data.chance import binomial_surprise, overlap_surprise, uniform_surprise


@pytest.mark.parametrize("trials", [1, 7, 400])
@pytest.mark.parametrize("p", [0.0, 1e-6, 0.03, 0.5, 0.97, 1.0])
def test_a_binomial_surprise_bounds_the_exact_tail_on_either_side(trials, p):
    counts = torch.arange(trials + 1)
    k, bound = counts.numpy(), (-binomial_surprise(counts, trials, torch.tensor(p, dtype=torch.float64))).exp().numpy()
    tail = np.where(k >= trials * p, stats.binom.sf(k - 1, trials, p), stats.binom.cdf(k, trials, p))
    assert (tail <= bound * (1 + 1e-9)).all()
    # By no more than the number of outcomes, or it would see nothing.
    assert (bound <= (trials + 1) * tail * (1 + 1e-6))[tail > 1e-200].all()


@pytest.mark.parametrize(("a", "b", "trials"), [(0, 3, 9), (4, 4, 9), (5, 9, 9), (30, 60, 200), (2, 190, 200)])
def test_an_overlap_surprise_bounds_the_exact_tail(a, b, trials):
    for both in range(max(0, a + b - trials), min(a, b) + 1):
        one, other = torch.zeros(2, trials, 1, dtype=torch.bool)
        one[:a], other[a - both : a - both + b] = True, True
        assert (one & other).sum() == both
        bound = float((-overlap_surprise(one, other)).exp())
        assert stats.hypergeom.sf(both - 1, trials, a, b) <= bound * (1 + 1e-9)
    assert bound < 1 or min(a, b) == 0 or max(a, b) == trials


@pytest.mark.parametrize("n", [1, 10, 1000])
@pytest.mark.parametrize("power", [1.0, 1.1, 3.0])
def test_a_uniform_surprise_bounds_the_exact_tail_of_kolmogorov(n, power):
    values = (torch.rand(n) ** power).double()
    found = stats.kstest(values.numpy(), "uniform")
    assert uniform_surprise(values) == pytest.approx(2 * n * found.statistic**2)
    assert found.pvalue <= 2 * np.exp(-uniform_surprise(values)) * (1 + 1e-9)


def test_no_values_are_no_surprise():
    assert uniform_surprise(torch.empty(0, dtype=torch.float64)) == 0
