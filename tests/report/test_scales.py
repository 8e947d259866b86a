import pandas as pd
import pytest

from polysemantic.report.scales import break_at, scale, tick_texts


@pytest.mark.parametrize(
    ("values", "log", "zero_at", "ticks"),
    [
        ([12, 16], False, None, [12, 16]),
        ([12], False, None, [12]),
        ([16, 64], True, None, [16, 64]),
        ([0, 0.1, 0.4], False, None, [0, 0.1, 0.4]),
        ([0, 0.001, 0.1], True, 0.0001, [0, 0.001, 0.1]),
        ([0, 0.001, 0.004, 0.016], True, 0.00025, [0, 0.001, 0.004, 0.016]),
        ([-1, 0.01, 1], False, None, [-1, 0.01, 1]),
        ([float("nan"), 0.001, 0.1], True, None, [0.001, 0.1]),
        ([64, 65, 66, 1024], True, None, [64, 1024]),
    ],
)
def test_settings_have_the_scale_that_shows_them_apart(values, log, zero_at, ticks):
    found = scale(pd.Series(values))
    assert (found.log, found.ticks) == (log, ticks)
    assert found.zero_at == pytest.approx(zero_at)
    if zero_at is not None:
        assert zero_at < break_at(zero_at) < min(value for value in values if value > 0)


def test_many_settings_have_round_ticks():
    found = scale(pd.Series([0.0, *(0.0015 * 1.2**at for at in range(40))]))
    assert found.ticks == [0, 0.01, 0.1, 1]
    assert scale(pd.Series(range(-50, 50))).ticks is None


@pytest.mark.parametrize("values", [["normal", "orthogonal"], [True, False]])
def test_words_have_no_scale(values):
    assert scale(pd.Series(values)) == (False, None, None)


def test_ticks_are_plain_numbers():
    numbers = [0, 0.00001, 0.0003, 0.05, 1, 2.5, 4096, 250_000, 1e6, 1e-7, -0.01]
    assert tick_texts(numbers) == [
        *("0", "0.00001", "0.0003", "0.05", "1", "2.5", "4096", "250000"),
        *("1e6", "1e-7", "-0.01"),
    ]
