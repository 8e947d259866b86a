"""Products in C++ that is compiled where it runs, for what its processor has and torch's library leaves unused."""

from __future__ import annotations

import ctypes
import functools
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float32
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from typing_extensions import override

from polysemantic.kernels.matmul import Products
from polysemantic.kernels.native.extension import compiled

# Functions of a source that take beta and alpha, beside three matrices, how many instances there are, and three sizes.
_SCALED = ("times", "transposed_times")
# Sizes that are multiplied must be multiples of two registers of 512 bits.
_SIDE = 32


class NativeProducts(Products):
    """Float32 products of instances one after the other, by the calling thread alone."""

    source: ClassVar[str]
    """Which file beside this one; it includes `matmul.h`."""
    instructions: ClassVar[tuple[str, ...]]
    """What the compiler may use."""
    units: ClassVar[str]
    """What of the processor they are for."""
    rows: ClassVar[int] = _SIDE
    """Of x there must be a multiple of so many in x y."""
    least: ClassVar[int]
    """Multiplications of one instance's product of W with its own transpose from which on they are quicker."""

    def __init__(self) -> None:
        library = _library(self.source, self.instructions, self.units)
        assert library is not None
        self.library = library

    @staticmethod
    @abstractmethod
    def has_units() -> bool:
        """Whether this processor has what they are for, and torch's library does not use it."""

    @classmethod
    def takes(cls, n_features: int, n_hidden: int, dtype: torch.dtype) -> bool:
        """Whether this machine has the units and a compiler, and networks are of a shape and precision for them."""
        whole = n_features % _SIDE == 0 and n_hidden % _SIDE == 0
        if not whole or dtype != torch.float32 or not cls.has_units():
            return False
        return _library(cls.source, cls.instructions, cls.units) is not None

    @override
    def times(
        self,
        x: Float32[Tensor, "instance row n"],
        y: Float32[Tensor, "instance n column"],
        out: Float32[Tensor, "instance row column"],
        *,
        beta: float = 0,
        alpha: float = 1,
    ) -> None:
        if x.shape[1] % self.rows:
            super().times(x, y, out, beta=beta, alpha=alpha)
        else:
            self.library.times(*addresses(x, y, out), *x.shape, y.shape[2], beta, alpha)

    @override
    def times_transposed(
        self,
        x: Float32[Tensor, "instance row n"],
        y: Float32[Tensor, "instance column n"],
        out: Float32[Tensor, "instance row column"],
    ) -> None:
        if x.shape[1] % _SIDE:
            super().times_transposed(x, y, out)
        else:
            self.library.times_transposed(*addresses(x, y, out), *x.shape[:2], *y.shape[1:])


def addresses(*tensors: Tensor) -> list[int]:
    """Where tensors begin whose numbers lie one after the other."""
    assert all(tensor.is_contiguous() for tensor in tensors)
    return [tensor.data_ptr() for tensor in tensors]


@functools.cache
def _library(source: str, instructions: tuple[str, ...], units: str) -> ctypes.CDLL | None:
    """The compiled products; None where there is no compiler for them, which is said."""
    library = compiled(source, instructions)
    if library is None:
        rank_zero_warn(
            f"no C++ compiler for this processor's {units}: products are those of torch's library, and slower"
        )
        return None
    matrices: list[Any] = [ctypes.c_void_p] * 3
    sizes, factors = [ctypes.c_long] * 4, [ctypes.c_float] * 2
    library.times_transposed.argtypes = matrices + sizes
    for name in _SCALED:
        if hasattr(library, name):
            getattr(library, name).argtypes = matrices + sizes + factors
    return library
