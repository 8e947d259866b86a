"""Products in registers of 512 bits, where torch's library uses narrower ones."""

from __future__ import annotations

import torch
from typing_extensions import override

from polysemantic.native import NativeProducts
from polysemantic.products import library_is_wide


class VectorProducts(NativeProducts):
    """Float32 products, and of W with its own transpose half."""

    source = "vectors.cpp"
    instructions = ("avx512f", "fma")
    units = "wide registers"

    @staticmethod
    @override
    def has_units() -> bool:
        return torch.cpu._is_avx512_supported() and not library_is_wide()
