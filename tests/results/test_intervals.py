import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from polysemantic.metrics import STANDARD
from polysemantic.results.columns import COLUMNS
from polysemantic.results.intervals import interval_of, interval_text, intervals_of, note_on_seeds
from polysemantic.results.tables import mean_and_interval, within_sizes


def student(values):
    """Mean and ends, by scipy."""
    return values.mean(), *stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))


@pytest.mark.parametrize(
    ("column", "least", "most"),
    [
        ("polysemantic_neurons", 0, np.inf),
        ("coverage", 0, 1),
        ("carriers", 1, np.inf),
        ("privilege", -np.inf, 1),
        ("privilege_z", -np.inf, np.inf),
        ("excess_polysemantic_neurons", 0, np.inf),
        ("of_the_user", -np.inf, np.inf),
    ],
)
@pytest.mark.parametrize("values", [[1.0, 1.0, 1.5], [1.0, 0.9], [0.0, 0.1], [0.3, 0.31, 0.29], [-0.1, 1.3]])
def test_an_interval_ends_where_the_range_of_its_measurement_does(column, least, most, values):
    mean, low, high = student(np.array(values))
    # Values that no such measurement has are another measurement's.
    low = low if min(values) < least else max(low, least)
    high = high if max(values) > most else min(high, most)
    found = interval_of(column, torch.tensor([[*values, torch.nan]], dtype=torch.float64))
    np.testing.assert_allclose(torch.cat(found), [mean, low, high], atol=1e-12)


def test_ends_are_unknown_with_fewer_than_two_networks():
    found = interval_of("coverage", torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]]))
    assert [end.isnan().tolist() for end in found] == [[False, True], [True, True], [True, True]]


def test_intervals_of_columns_are_those_of_each_alone():
    generator = torch.Generator().manual_seed(0)
    names = ("coverage", "carriers", "of_the_user")
    columns = {name: torch.randn(3, 5, generator=generator).double() for name in names}
    columns["polysemantic_neurons"] = columns["coverage"].square()
    for name, found in intervals_of(columns).items():
        assert torch.stack(found).equal(torch.stack(interval_of(name, columns[name])))


def test_an_interval_that_ends_at_zero_holds_the_mean_as_often():
    generator = torch.Generator().manual_seed(0)
    rate, repeats = 0.5, 4000
    counts = torch.poisson(torch.full((repeats, 8), rate, dtype=torch.float64), generator=generator)
    _, low, high = interval_of("polysemantic_neurons", counts)
    _, below, above = interval_of("of_the_user", counts)
    assert (below < 0).any()
    assert (low >= 0).all()
    assert ((low <= rate) & (rate <= high)).equal((below <= rate) & (rate <= above))


def test_every_measurement_that_counts_begins_at_zero():
    counted = {metric.column() for metric in STANDARD if metric.count_valued}
    assert all(COLUMNS[name].from_zero for name in counted)


@pytest.mark.parametrize(
    ("ends", "digits", "text"),
    [
        ((71.25, 68.85, 73.65), 1, "71.2 ± 2.4"),
        ((0.5, 0.0, 2.09), 2, "0.50 [0, 2.09]"),
        ((0.96, 0.89, 1.0), 2, "0.96 [0.89, 1]"),
        ((0.999, 0.997, 1.0), 2, "1.00 ± 0.00"),
        ((0.1 + 0.2, 0.3 - 0.125, 0.3 + 0.125), 2, "0.30 ± 0.12"),
    ],
)
def test_an_interval_is_told_by_its_ends_where_it_ends_early(ends, digits, text):
    assert interval_text(*ends, digits) == text


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        ("polysemantic_neurons", [0, 0, 0, 2], "0.50 [0, 2.09]"),
        ("coverage", [1.0, 1.0, 0.9, 1.0], "0.97 [0.90, 1]"),
        ("privilege_z", [0, 0, 0, 2], "0.50 ± 1.59"),
        ("polysemantic_neurons", [0, 0], "0.00"),
    ],
)
def test_a_column_is_told_within_its_range(column, values, text):
    assert mean_and_interval(pd.Series(values, name=column)) == text


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        ("polysemantic_neurons", [2, 12], "7.00 [0, 12]"),
        ("polysemantic_neurons_band", [2, 12], "7.00 [0, 12]"),
        ("excess_polysemantic_neurons", [2, 12], "7.00 [0, 12]"),
        ("carriers", [2.0, 12.0], "7.00 [1, 12]"),
        ("features_per_neuron", [2.0, 12.0], "7.00 [1, 20]"),
        # Two features may collide on several neurons: these pairs have no such end.
        ("collisions_opposite_sign", [2, 12], "7.00 [0, 70.53]"),
    ],
)
def test_an_interval_ends_at_the_size_of_the_networks(column, values, text):
    rows = pd.DataFrame({column: values, "n_features": 20, "n_hidden": 12})
    assert within_sizes(rows, column) == text


@pytest.mark.parametrize(("networks", "noted"), [(1, True), (2, True), (3, True), (4, False), (16, False)])
def test_few_seeds_are_noted(networks, noted):
    note = note_on_seeds(networks)
    assert (note is not None) == noted
    assert networks > 1 or "no interval" in note
