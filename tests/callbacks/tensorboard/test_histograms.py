import pytest
import torch

from polysemantic.callbacks.tensorboard.histograms import histogram


@pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [-1.0, 0.25, 3.0]])
def test_a_histogram_counts_every_value(values):
    low, high, number, total, squares, *counts = histogram(torch.tensor(values)).tolist()
    assert (low, high, number, total) == (min(values), max(values), len(values), sum(values))
    assert squares == sum(value * value for value in values)
    assert sum(counts) == number


def test_a_diverged_network_has_no_histogram():
    assert histogram(torch.tensor([1.0, torch.nan])).isnan().all()
    assert histogram(torch.tensor([1.0, torch.inf])).isnan().all()
