import pytest
import torch

from polysemantic.functional import count


@pytest.mark.parametrize("length", [1, 255, 256, 1000])
@pytest.mark.parametrize("dim", [-1, -2])
def test_counts_do_not_overflow(length, dim):
    mask = torch.ones(2, length, length, dtype=torch.bool)
    mask[1] = torch.rand(length, length) < 0.9
    torch.testing.assert_close(count(mask, dim), mask.sum(dim), rtol=0, atol=0)
