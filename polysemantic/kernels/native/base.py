"""Kernels in C++ that are compiled where they run, for processor units that torch's library leaves unused."""

from __future__ import annotations

import ctypes
import functools
from typing import Any, ClassVar

import torch
from jaxtyping import Float32
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from typing_extensions import override

from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.native.extension import compiled
from polysemantic.kernels.problem import Problem

# Functions of a source that take beta and alpha, beside three matrices, the number of instances, and three sizes.
_SCALED = ("nn", "tn")
# Sizes that are multiplied must be multiples of two registers of 512 bits.
_SIDE = 32


class NativeMatmul(TorchMatmul):
    """Float32 products of instances one after the other, by the calling thread alone."""

    pays_by_thread = True
    source: ClassVar[str]
    """Which file beside this one; it includes `x86.h`."""
    instructions: ClassVar[tuple[str, ...]]
    """Instruction sets that the compiler may use."""
    units: ClassVar[str]
    """What of the processor the kernel is for, in words."""
    rows: ClassVar[int] = _SIDE
    """In x y, x must have a multiple of so many rows."""
    least: ClassVar[int]
    """Multiplications of one instance's W W^T from which on the kernel is quicker (benchmarks/README.md)."""

    def __init__(self) -> None:
        library = native_library(self.source, self.instructions, self.units)
        assert library is not None
        self.library = library

    @classmethod
    @override
    def supports(cls, problem: Problem) -> bool:
        aligned = problem.n_features % _SIDE == 0 and problem.n_hidden % _SIDE == 0
        single = problem.device == "cpu" and problem.dtype == torch.float32
        return aligned and single and problem.gram_multiplications >= cls.least

    @classmethod
    @override
    def can_be_built(cls) -> bool:
        return native_library(cls.source, cls.instructions, cls.units) is not None

    @override
    def nn(
        self,
        x: Float32[Tensor, "instance row n"],
        y: Float32[Tensor, "instance n column"],
        out: Float32[Tensor, "instance row column"],
        *,
        alpha: float = 1,
        beta: float = 0,
    ) -> None:
        if x.shape[1] % self.rows:
            super().nn(x, y, out, alpha=alpha, beta=beta)
        else:
            self.library.nn(*addresses(x, y, out), *x.shape, y.shape[2], beta, alpha)

    @override
    def nt(
        self,
        x: Float32[Tensor, "instance row n"],
        y: Float32[Tensor, "instance column n"],
        out: Float32[Tensor, "instance row column"],
        *,
        alpha: float = 1,
        beta: float = 0,
    ) -> None:
        if x.shape[1] % _SIDE or alpha != 1 or beta != 0:
            super().nt(x, y, out, alpha=alpha, beta=beta)
        else:
            self.library.nt(*addresses(x, y, out), *x.shape[:2], *y.shape[1:])


def addresses(*tensors: Tensor) -> list[int]:
    """Where contiguous tensors begin in memory."""
    assert all(tensor.is_contiguous() for tensor in tensors)
    return [tensor.data_ptr() for tensor in tensors]


@functools.cache
def native_library(source: str, instructions: tuple[str, ...], units: str) -> ctypes.CDLL | None:
    """The compiled kernel; None with a warning where it cannot be compiled."""
    library = compiled(source, instructions)
    if library is None:
        rank_zero_warn(
            f"no C++ compiler for this processor's {units}: products are those of torch's library, and slower"
        )
        return None
    matrices: list[Any] = [ctypes.c_void_p] * 3
    sizes, factors = [ctypes.c_long] * 4, [ctypes.c_float] * 2
    library.nt.argtypes = matrices + sizes
    for name in _SCALED:
        if hasattr(library, name):
            getattr(library, name).argtypes = matrices + sizes + factors
    return library
