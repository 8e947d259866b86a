import math

import pytest

from polysemantic.report.charts import Panel, Series
from polysemantic.report.placing import apart, places

LOG = Panel("x", "y", log_x=True, zero_at=0.0001, spread="curves")
WORDS = Panel("x", "y", words=("SGD", "Adam"), spread="curves")


def networks(x, seeds=3, names=("a", "b")):
    """Networks and means of some curves at some places."""
    at = [value for value in x for _ in range(seeds)]
    return [
        one
        for name in names
        for one in (Series(name, "points", at, [0.0] * len(at)), Series(name, "mean", x, [0.0] * len(x)))
    ]


@pytest.mark.parametrize(
    ("panel", "x", "along"),
    [
        (Panel("x", "y", spread="curves"), [1.0, 2.0, 4.0], float),
        (Panel("x", "y", spread="curves"), [-1.0], float),
        (LOG, [0.0, 0.001, 0.01], math.log10),
        (WORDS, ["SGD", "Adam"], float),
    ],
)
def test_no_network_or_mean_hides_another(panel, x, along):
    found = places(networks(x), [panel])
    means = [along(place) for at in (1, 3) for place in found[at]]
    points = [along(place) for at in (0, 2) for place in found[at]]
    assert len(set(means)) == 2 * len(x)
    assert len(set(points)) == 6 * len(x)
    # Whatever stands at one setting is nearer to it than to the next.
    for at in range(len(x)):
        of_place = [found[series][3 * at + seed] for series in (0, 2) for seed in range(3)]
        middle = sum(map(along, of_place)) / 6
        reach = max(abs(along(place) - middle) for place in of_place)
        others = [abs(along(place) - middle) for series in (0, 2) for place in found[series]]
        assert sum(other <= reach + 1e-9 for other in others) == 6


def test_networks_stand_around_their_mean_in_one_order():
    points, means, *_ = places(networks([1.0, 2.0], names=("a",)), [Panel("x", "y", spread="curves")])
    assert means == [1, 2]
    assert points == sorted(points)
    assert [points[1], points[4]] == means
    assert points[2] - points[1] == pytest.approx(points[1] - points[0])


def test_what_is_measured_across_stays_in_its_place_but_for_single_networks():
    points, means, *_ = places(networks([1.0, 2.0]), [Panel("x", "y", spread="points")])
    assert means == [1, 2]
    assert len(set(points)) == 6
    assert places(networks([1.0, 2.0]), [Panel("x", "y")])[0] == [1, 1, 1, 2, 2, 2]


def test_no_line_joins_0_with_a_logarithmic_axis():
    mean = Series("", "mean", [0.0, 0.1], [1, 2], [0, 1], [2, 3], detail=["one", "two"], rows=[4, 5])
    broken = apart(mean, LOG)
    assert (broken.x, broken.rows, broken.detail) == ([0, None, 0.1], [4, -1, 5], ["one", "", "two"])
    assert [math.isnan(value) for value in broken.y] == [False, True, False]
    assert places([broken], [LOG])[0][1] is None
    assert apart(mean, Panel("x", "y", log_x=True)) == mean
