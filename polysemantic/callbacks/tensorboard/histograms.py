"""Histograms in TensorBoard, each in one tensor so that processes can exchange them."""

from __future__ import annotations

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

_BINS, _HEAD = 64, 5
HISTOGRAM_LENGTH = _HEAD + _BINS


def histogram(values: Shaped[Tensor, "..."]) -> Float64[Tensor, " number"]:
    """Minimum, maximum, number, sum and sum of squares of some values, then their counts in bins of equal width.

    All entries are nan if a value is not finite.
    """
    values = values.detach().cpu().double().flatten()
    low, high = values.aminmax()
    total = torch.stack([low, high, torch.tensor(float(len(values))).double(), values.sum(), values.dot(values)])
    if not total.isfinite().all():
        return values.new_full((HISTOGRAM_LENGTH,), torch.nan)
    return torch.cat([total, torch.histc(values, _BINS, *_ends(float(low), float(high)))])


def _ends(low: float, high: float) -> tuple[float, float]:
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def add_histogram(writer: SummaryWriter, tag: str, content: Float64[Tensor, " number"], step: int) -> None:
    """Draw in TensorBoard what `histogram` gives."""
    low, high, number, total, squares = content[:_HEAD].tolist()
    start, stop = _ends(low, high)
    limits = torch.linspace(start, stop, _BINS + 1, dtype=torch.float64)[1:].tolist()
    writer.add_histogram_raw(tag, low, high, int(number), total, squares, limits, content[_HEAD:].tolist(), step)
