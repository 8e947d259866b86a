"""Keys by seed, and the libraries of the kernel that makes random bits."""

import pytest
import torch
from _pytest.mark import ParameterSet

from polysemantic import random
from polysemantic.random.splitmix64 import native_library


def keys_of(*seeds: int, stream: random.Stream = "data", seed: int = 0, steps: range | None = None) -> random.Keys:
    return random.make_keys(seed, stream, torch.tensor(seeds), steps)


def _library(*, avx512: bool) -> ParameterSet:
    library = native_library(avx512=avx512) if not avx512 or torch.cpu._is_avx512_supported() else None
    missing = pytest.mark.skipif(library is None, reason="no such processor or no C++ compiler here")
    return pytest.param(library, marks=missing, id="with AVX-512" if avx512 else "without AVX-512")


LIBRARIES = [_library(avx512=False), _library(avx512=True)]
