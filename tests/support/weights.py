"""Random weights, of which many are carried, and the shapes that estimators are tried on."""

import torch

SHAPES = [(1, 1), (1, 6), (6, 1), (1, 8, 16), (3, 8, 5), (2, 3, 12, 4)]


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return 0.6 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
