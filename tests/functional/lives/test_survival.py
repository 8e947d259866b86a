import inspect
import math

import numpy as np
import pytest

from polysemantic.functional import kaplan_meier, median_life, resolution_rate
from tests import reference


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("n_lives", [0, 1, 2, 60])
@pytest.mark.parametrize("share_resolved", [0.0, 0.5, 1.0])
def test_kaplan_meier_matches_the_product_limit(rng, n_lives, share_resolved):
    duration = rng.integers(20, size=n_lives) * 500  # with ties
    resolved = rng.random(n_lives) < share_resolved
    curve = kaplan_meier(duration, resolved)
    times, survival = reference.kaplan_meier(duration.tolist(), resolved.tolist())
    np.testing.assert_array_equal(curve.times, times)
    np.testing.assert_allclose(curve.survival, survival, atol=1e-12)


def test_without_censoring_the_median_life_is_the_sample_median(rng):
    duration = rng.permutation(101)
    assert median_life(kaplan_meier(duration, np.ones(101, dtype=bool))) == 50


def test_a_survival_of_one_half_that_rounds_up_still_ends_the_median_life():
    duration = np.array([1, 1, 2, 2, 4, 5, 7, 9, 9, 10])
    resolved = ~np.isin(np.arange(10), [6, 9])
    curve = kaplan_meier(duration, resolved)
    assert 0.5 < curve.survival[2] < 0.5 + 1e-15
    assert median_life(curve) == 4


def test_the_median_life_is_infinite_if_most_outlive_the_run_and_nan_without_lives():
    assert median_life(kaplan_meier(np.array([1, 9, 9]), np.array([True, False, False]))) == math.inf
    assert math.isnan(median_life(kaplan_meier(np.zeros(0), np.zeros(0, dtype=bool))))


def test_the_resolution_rate_recovers_an_exponential_hazard_under_censoring(rng):
    life = rng.exponential(100, size=20000)
    resolved = life < 80
    rate = resolution_rate(np.minimum(life, 80), resolved)
    assert abs(rate - 0.01) < 5 * 0.01 / math.sqrt(resolved.sum())


def test_the_resolution_rate_is_undefined_without_time_at_risk():
    assert math.isnan(resolution_rate(np.zeros(0), np.zeros(0, dtype=bool)))
    assert math.isnan(resolution_rate(np.zeros(2), np.ones(2, dtype=bool)))


def test_bad_lives_are_refused():
    with pytest.raises(ValueError, match=r"`resolved` must have the shape of `duration`, \(2,\), got \(1,\)\."):
        # Unwrapped, because the tests' shape checks would speak first.
        inspect.unwrap(kaplan_meier)(np.ones(2), np.ones(1, dtype=bool))
    with pytest.raises(ValueError, match=r"`duration` must be at least 0, got -1\."):
        resolution_rate(np.array([3, -1]), np.ones(2, dtype=bool))
