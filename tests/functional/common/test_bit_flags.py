import pytest
import torch

from polysemantic import functional as F


@pytest.mark.parametrize("n", [1, 8, 19])
def test_flags_in_bits_are_the_flags(n):
    flags = torch.rand(3, 2, n, generator=torch.Generator().manual_seed(n)) < 0.5
    octets = F.pack_flags(flags)
    assert octets.shape == (3, 2, -(-n // 8))
    assert torch.equal(F.unpack_flags(octets, n), flags)
    index = torch.arange(n).flip(0).expand(3, 2, n)
    assert torch.equal(F.packed_flag(octets, index), flags.flip(-1))
