"""Products on the matrix units of x86 processors, in C++ that is compiled where they are."""

from __future__ import annotations

import ctypes
import functools
import subprocess
import tempfile
from pathlib import Path

import torch
from jaxtyping import Float32
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler
from typing_extensions import override

from polysemantic.products import Products

_SOURCE = Path(__file__).with_name("tiles.cpp")
_INSTRUCTIONS = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512bf16", "amx-tile", "amx-bf16")
_OPTIONS = ("-std=c++17", "-O3", "-fPIC", "-shared", *(f"-m{name}" for name in _INSTRUCTIONS))
# Sizes that are multiplied must be multiples of two tiles' sides.
_SIDE = 32


class TiledProducts(Products):
    r"""Float32 products from three of bfloat16 parts each, summed in float32.

    What the parts leave out of a product of two numbers is at most :math:`3 \cdot 2^{-16}` of it.
    """

    def __init__(self) -> None:
        library = _library()
        assert library is not None
        self._times_transposed, self._accumulate = library.times_transposed, library.accumulate

    @staticmethod
    def takes(n_features: int, n_hidden: int, dtype: torch.dtype) -> bool:
        """Whether this machine has the units, and the networks are of a shape and precision for them."""
        whole = n_features % _SIDE == 0 and n_hidden % _SIDE == 0
        return whole and dtype == torch.float32 and _library() is not None

    @override
    def decode(
        self,
        h: Float32[Tensor, "instance batch hidden"],
        W: Float32[Tensor, "instance feature hidden"],
        out: Float32[Tensor, "instance batch feature"],
    ) -> None:
        if h.shape[1] % _SIDE:
            super().decode(h, W, out)
        else:
            self._times_transposed(*_addresses(h, W, out), *h.shape[:2], *W.shape[1:])

    @override
    def accumulate(
        self,
        overlap: Float32[Tensor, "instance feature feature"],
        W: Float32[Tensor, "instance feature hidden"],
        out: Float32[Tensor, "instance feature hidden"],
        *,
        beta: float,
        alpha: float,
    ) -> None:
        self._accumulate(*_addresses(overlap, W, out), *W.shape, beta, alpha)


def _addresses(*tensors: Tensor) -> list[int]:
    assert all(tensor.is_contiguous() for tensor in tensors)
    return [tensor.data_ptr() for tensor in tensors]


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled products; None where there are no such units, or no compiler for them, which is said."""
    # The last of these asks the system for leave to use them.
    if not (torch.cpu._is_amx_tile_supported() and torch.cpu._is_avx512_bf16_supported() and torch.cpu._init_amx()):
        return None
    try:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "tiles.so")
            command = [get_cpp_compiler(), *_OPTIONS, str(_SOURCE), "-o", str(path)]
            subprocess.run(command, check=True, capture_output=True)
            library = ctypes.CDLL(str(path))
    except (InvalidCxxCompiler, OSError, subprocess.CalledProcessError):
        rank_zero_warn("no C++ compiler for this processor's matrix units: products are those of float32, and slower")
        return None
    pointer, number, size = ctypes.c_void_p, ctypes.c_float, ctypes.c_long
    library.times_transposed.argtypes = [pointer] * 3 + [size] * 4
    library.accumulate.argtypes = [pointer] * 3 + [size] * 3 + [number] * 2
    library.times_transposed.restype = library.accumulate.restype = None
    return library
