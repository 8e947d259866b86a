"""Random bits by splitmix64, from torch's operations or from a native kernel, which give the same bits.

The generator works in integer arithmetic, which every device does exactly (Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from polysemantic.kernels.native.extension import compiled

GOLDEN = -7046029254386353131
FIRST = -4658895280553007687
SECOND = -7723592293110705685
# Numbers of 64 bits that a CPU's cache holds while a dozen operations pass over them.
_AT_ONCE = {"cpu": 2**16}
# Up to so many numbers the time of a pass is that of its calls, and numpy's calls are quicker than torch's.
_FEW = 2**10
# From so many numbers on the kernel is worth the time that its compilation takes.
_WORTH_COMPILING = 2**15
# The kernel runs on one thread. It is as quick as torch on so many threads, without and with AVX-512.
_THREADS_OF_TORCH = {False: 4, True: 20}


def _xor_shift(z: Tensor, shift: int, scratch: Tensor) -> Tensor:
    # torch shifts int64 arithmetically: the mask drops the copies of the sign bit.
    torch.bitwise_right_shift(z, shift, out=scratch)
    return z.bitwise_xor_(scratch.bitwise_and_((1 << (64 - shift)) - 1))


def mix(z: Tensor) -> Tensor:
    """The splitmix64 finaliser, in place."""
    if z.device.type == "cpu" and z.numel() <= _FEW:
        few = z.numpy().view(np.uint64)
        few ^= few >> 30
        few *= FIRST % 2**64
        few ^= few >> 27
        few *= SECOND % 2**64
        few ^= few >> 31
        return z
    flat = z.view(-1)
    at_once = min(len(flat), _AT_ONCE.get(z.device.type, len(flat)))
    whole = torch.empty(at_once, dtype=z.dtype, device=z.device)
    for block in torch.split(flat, max(1, at_once)):
        scratch = whole[: len(block)]
        _xor_shift(block, 30, scratch).mul_(FIRST)
        _xor_shift(block, 27, scratch).mul_(SECOND)
        _xor_shift(block, 31, scratch)
    return z


def random_bits(keys: Int64[Tensor, "*key"], count: int) -> Int64[Tensor, "*key draw"]:
    """The first `count` draws of 64 random bits that belong to each key."""
    library = library_for(keys, count)
    return random_bits_by_torch(keys, count) if library is None else random_bits_by_kernel(keys, count, library)


def random_bits_by_torch(keys: Int64[Tensor, "*key"], count: int) -> Int64[Tensor, "*key draw"]:
    """The same draws from torch's operations, on any device."""
    counter = torch.arange(1, count + 1, device=keys.device).mul_(GOLDEN)
    return mix(keys.unsqueeze(-1) + counter)


def random_bits_by_kernel(keys: Int64[Tensor, "*key"], count: int, library: ctypes.CDLL) -> Int64[Tensor, "*key draw"]:
    """The same draws from the kernel, in one pass over memory on one thread of the CPU."""
    made, keys = keys.new_empty(*keys.shape, count), keys.contiguous()
    library.random_bits(keys.data_ptr(), keys.numel(), count, made.data_ptr())
    return made


def kernel_pays(n_numbers: int, n_threads: int, *, avx512: bool) -> bool:
    """Whether the kernel makes so many numbers of 64 bits sooner than torch does on so many threads."""
    return n_numbers >= _WORTH_COMPILING and n_threads <= _THREADS_OF_TORCH[avx512]


def library_for(keys: Int64[Tensor, "*key"], count: int) -> ctypes.CDLL | None:
    """The kernel's library where the kernel can draw so often for each key, and pays; else None."""
    n_numbers = keys.numel() * count
    # The processor is asked only where there are many numbers, because small draws are as short as the question.
    if keys.device.type != "cpu" or n_numbers < _WORTH_COMPILING:
        return None
    avx512 = torch.cpu._is_avx512_supported()
    return native_library(avx512=avx512) if kernel_pays(n_numbers, torch.get_num_threads(), avx512=avx512) else None


def native_library(*, avx512: bool) -> ctypes.CDLL | None:
    """The kernel's library, compiled with or without AVX-512; None where there is no compiler for it."""
    library = compiled("splitmix64.cpp", ("avx512f", "avx512dq") if avx512 else ())
    if library is not None:
        library.random_bits.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long, ctypes.c_void_p]
    return library
