"""The native kernels, each skipped where the processor or a compiler for it is missing."""

import pytest
import torch

from polysemantic.kernels.native.amx import TiledProducts
from polysemantic.kernels.native.avx512 import VectorProducts


class ForcedVectors(VectorProducts):
    """They, on any processor that can run them."""

    has_units = staticmethod(torch.cpu._is_avx512_supported)


# Each kind where the processor can run it.
KINDS = [
    pytest.param(
        kind,
        marks=pytest.mark.skipif(not kind.takes(32, 32, torch.float32), reason=f"no {kind.units} or compiler here"),
    )
    for kind in (TiledProducts, ForcedVectors)
]
