import math

import pytest

from polysemantic.training.cadence import chunk_length, default_interval, rounded_chunk, rounded_interval


@pytest.mark.parametrize(
    ("interval", "times", "expected"),
    [(1, 1, 1), (249, 1, 249), (250, 1, 250), (251, 1, 275), (1249, 5, 1249), (1251, 5, 1375)],
)
def test_long_intervals_are_round(interval, times, expected):
    assert rounded_interval(interval, times) == expected


@pytest.mark.parametrize(
    ("max_steps", "expected"),
    [(1, 1), (80, 10), (1200, 150), (4800, 150), (48_000, 1500), (7500, 234), (100_000, 3125)],
)
def test_a_run_has_eight_to_thirty_two_measurements(max_steps, expected):
    assert default_interval(max_steps) == expected


def test_measurements_of_many_features_on_small_batches_come_more_seldom():
    assert default_interval(7500, n_features=256, batch_size=64) == 400
    assert default_interval(800, n_features=256, batch_size=64) == 100  # but eight of them
    assert [default_interval(4800, 64, batch_size) for batch_size in (64, 16, 4)] == [150, 400, 600]


def test_chunks_last_as_long_as_they_should():
    assert [chunk_length(0.5, seconds) for seconds in (math.nan, 0.1, 9.0, 1e-4)] == [1, 5, 1, 5000]


def test_rounded_chunks_have_a_round_number_of_steps_and_are_never_shorter():
    assert [rounded_chunk(steps) for steps in (1, 25, 26, 5000)] == [25, 25, 50, 5000]
