from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from polysemantic.functional.common.effective_weight import magnitude
from polysemantic.functional.common.memoisation import shared


class Strongest(NamedTuple):
    """The neuron on which each feature's effective weight is largest, and how large."""

    magnitude: Float[Tensor, "*instance feature"]
    neuron: Int64[Tensor, "*instance feature"]


@shared
def strongest(w: Float[Tensor, "*instance feature hidden"]) -> Strongest:
    """Each feature's largest weight in magnitude, and the neuron that has it.

    Example:
        >>> magnitude, neuron = strongest(torch.tensor([[0.5, -1.0]]))
        >>> magnitude.item(), neuron.item()
        (1.0, 1)
    """
    sizes = magnitude(w)
    return Strongest(sizes.amax(-1), _argmax(sizes))


def _argmax(sizes: Float[Tensor, "*instance feature hidden"]) -> Int64[Tensor, "*instance feature"]:
    if sizes.device.type != "cpu" or sizes.dtype not in (torch.float32, torch.float64):
        return sizes.argmax(-1)
    # In main memory numpy takes a fifth of the time.
    return torch.from_numpy(np.asarray(sizes.detach().numpy().argmax(-1)))
