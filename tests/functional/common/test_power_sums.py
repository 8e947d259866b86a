import pytest
import torch

from polysemantic import functional as F


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 3, 500), (3, 500, 300)])
def test_power_sums_match_plain_sums(shape):
    w = torch.randn(shape)
    for dim in (-1, -2):
        second, fourth = F.power_sums(w, dim)
        torch.testing.assert_close(second, w.double().pow(2).sum(dim))
        torch.testing.assert_close(fourth, w.double().pow(4).sum(dim))
