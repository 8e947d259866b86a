import math

import pytest
import torch

from tests import reference


def assert_within_5_sigma(samples, expected):
    """Mean over the first axis against its expectation; the last bits of a double are forgiven where nothing varies."""
    standard_error = samples.std(0) / math.sqrt(len(samples))
    assert ((samples.mean(0) - expected).abs() <= 5 * standard_error + 1e-9).all()


@pytest.mark.parametrize("n_hidden", [1, 2, 7])
def test_random_rotations_are_orthogonal(n_hidden):
    Q = reference.random_rotations(torch.randn(3, 2, n_hidden, n_hidden, dtype=torch.float64))
    torch.testing.assert_close(Q @ Q.mT, torch.eye(n_hidden, dtype=torch.float64).expand_as(Q))


@pytest.mark.parametrize("n_hidden", [1, 2, 5])
def test_the_trace_of_random_rotations_has_mean_zero_and_variance_one(n_hidden):
    # True of the Haar measure, and false of a QR factor without its signs.
    Q = reference.random_rotations(torch.randn(4000, n_hidden, n_hidden, dtype=torch.float64))
    trace = Q.diagonal(dim1=-2, dim2=-1).sum(-1)
    assert_within_5_sigma(trace, 0)
    assert_within_5_sigma(trace.square(), 1)
