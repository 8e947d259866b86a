"""Flags in bits: an eighth of the memory of a tensor of bool."""

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor
from torch.nn.functional import pad


def pack_flags(flags: Bool[Tensor, "*shape flag"]) -> UInt8[Tensor, "*shape octet"]:
    """Flags as the bits of octets, the first of eight as the lowest bit; what is over in the last octet is 0.

    Example:
        >>> pack_flags(torch.tensor([True, False, True]))
        tensor([5], dtype=torch.uint8)
    """
    if flags.device.type == "cpu":
        return torch.from_numpy(np.packbits(flags.numpy(), axis=-1, bitorder="little"))
    padded = pad(flags.byte(), (0, -flags.shape[-1] % 8))
    bits = padded.view(*padded.shape[:-1], -1, 8).bitwise_left_shift(_places(flags))
    return bits.sum(-1, dtype=torch.uint8)


def unpack_flags(octets: UInt8[Tensor, "*shape octet"], n_flags: int) -> Bool[Tensor, "*shape flag"]:
    """The flags of which `pack_flags` made these octets.

    Example:
        >>> unpack_flags(torch.tensor([5], dtype=torch.uint8), 3)
        tensor([ True, False,  True])
    """
    if octets.device.type == "cpu":
        flags = np.unpackbits(octets.numpy(), axis=-1, count=n_flags, bitorder="little")
        return torch.from_numpy(flags.view(np.bool_))
    bits = octets.unsqueeze(-1).bitwise_right_shift(_places(octets)).bitwise_and_(1)
    return bits.flatten(-2)[..., :n_flags].bool()


def packed_flag(
    octets: UInt8[Tensor, "*shape octet"], index: Int64[Tensor, "*shape asked"]
) -> Bool[Tensor, "*shape asked"]:
    """Single flags of those that `pack_flags` packed, by their index along the last axis.

    Example:
        >>> packed_flag(torch.tensor([5], dtype=torch.uint8), torch.tensor([2, 1]))
        tensor([ True, False])
    """
    return octets.gather(-1, index // 8).bitwise_right_shift(index % 8).bitwise_and(1).bool()


def _places(like: Tensor) -> UInt8[Tensor, "8"]:
    return torch.arange(8, dtype=torch.uint8, device=like.device)
