"""The kernels that every test of products runs over, each skipped where its processor or a compiler is missing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.native.amx import AmxMatmul
from polysemantic.kernels.native.avx512 import Avx512Matmul
from polysemantic.kernels.native.base import NativeMatmul
from polysemantic.kernels.problem import this_processor
from polysemantic.kernels.symmetric import SymmetricMatmul


def runs_here(kind: type[NativeMatmul]) -> bool:
    """Whether this processor can run a native kernel, whichever is quicker, and a compiler can make it."""
    processor = this_processor(torch.device("cpu"))
    return {"amx": processor.amx, "avx512": processor.avx512}[kind.name] and kind.can_be_built()


def _parameter(kind: type[NativeMatmul]) -> Any:
    missing = pytest.mark.skipif(not runs_here(kind), reason=f"no {kind.units} or compiler here")
    return pytest.param(kind, marks=missing)


NATIVE = [_parameter(kind) for kind in (AmxMatmul, Avx512Matmul)]
KERNELS = [TorchMatmul, SymmetricMatmul, *NATIVE]
