"""What the tab in TensorBoard should say of neurons."""

from collections.abc import Iterator

import torch
from torch import Tensor

MINUS = "\N{MINUS SIGN}"


def expected_list(w: Tensor) -> Iterator[str]:
    """What the page should say of the neurons that carry two features or more."""
    for neuron in torch.where((w.abs() >= 0.5).sum(0) >= 2)[0].tolist():
        column = w[:, neuron].half().float()
        features = [i for i in column.abs().argsort(descending=True, stable=True).tolist() if column[i].abs() >= 0.5]
        yield f"neuron {neuron}: " + ", ".join(f"{MINUS if column[i] < 0 else '+'}{i}" for i in features)
