"""Which features the inputs of a step turn on."""

import torch

from polysemantic.data import InputDataModule


def on(data: InputDataModule, step: int = 0) -> torch.Tensor:
    return data.inputs(step) > 0
