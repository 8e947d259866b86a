import math

import numpy as np
import pytest
from scipy import stats

from polysemantic.functional import bootstrap_over_instances, kaplan_meier, median_life


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def mean_or_nan(values):
    return values.mean() if len(values) else math.nan


def test_bootstrap_resamples_whole_instances_and_gives_a_means_student_interval(rng):
    values = [np.full(50, mean) for mean in (0.0, 1.0, 3.0, 4.0)]
    interval = bootstrap_over_instances(values, np.mean, rng=rng, n_resamples=20_000, confidence=0.9)
    # A variance of resamples has a relative error below 1/sqrt(10 000).
    assert interval == pytest.approx(stats.t.interval(0.9, 3, 2, stats.sem([0, 1, 3, 4])), abs=5 * 0.005 * 2.2)


def test_bootstrap_resamples_instances_without_lives_and_leaves_out_what_is_undefined(rng):
    values = [np.zeros(0), np.array([3.0, 3.0]), np.array([3.0])]
    low, high = bootstrap_over_instances(values, len, rng=rng)
    assert low + high == pytest.approx(2 * 3)
    assert high - low > 1
    assert bootstrap_over_instances(values, mean_or_nan, rng=rng) == (3, 3)


def test_bootstrap_of_what_may_be_infinite_rules_nothing_out(rng):
    lives = [np.array([[10, 1], [10, 1]]), np.array([[10, 0], [10, 0]])] * 4
    interval = bootstrap_over_instances(
        lives, lambda rows: median_life(kaplan_meier(rows[:, 0], rows[:, 1] == 1)), rng=rng
    )
    assert interval == (-math.inf, math.inf)


@pytest.mark.parametrize("values", [[], [np.ones(3)], [np.ones(3), np.zeros(0)], [np.zeros(0), np.zeros(0)]])
def test_bootstrap_has_no_interval_for_fewer_than_two_instances_with_values(rng, values):
    interval = bootstrap_over_instances(values, mean_or_nan, rng=rng)
    assert all(map(math.isnan, interval))


def test_bad_resampling_is_refused(rng):
    with pytest.raises(ValueError, match=r"`n_resamples` must be at least 1, got 0\."):
        bootstrap_over_instances([np.ones(1)], np.mean, rng=rng, n_resamples=0)
    with pytest.raises(ValueError, match=r"`confidence` must lie in \(0, 1\), got 1.0\."):
        bootstrap_over_instances([np.ones(1)], np.mean, rng=rng, confidence=1.0)
