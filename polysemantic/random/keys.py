from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import torch
from jaxtyping import Int64
from torch import Tensor

from polysemantic.random.splitmix64 import FIRST, GOLDEN, SECOND, mix

Stream = Literal["init", "data", "noise", "evaluation"]


@dataclasses.dataclass(frozen=True)
class Keys:
    """One 64-bit key for each optimiser step and seed, and which seed each instance draws from.

    Grid points of an ensemble share their seeds' draws (common random numbers): a draw is made once for each distinct
    seed and then handed to its instances.

    Args:
        values: Keys, shape (*step, seed).
        index: For each instance the position of its seed in `values`; None if instances and seeds are the same list.
    """

    values: Int64[Tensor, "*step seed"]
    index: Int64[Tensor, " instance"] | None = None

    def fold(self, purpose: int) -> Keys:
        """Keys for another independent draw of the same step: one for each `purpose`."""
        return dataclasses.replace(self, values=mix(self.values ^ mix(torch.full_like(self.values, purpose + 1))))

    def at(self, steps: range) -> Keys:
        """Keys of some optimiser steps, (step, seed), from those of a stream."""
        at = torch.arange(steps.start, steps.stop, steps.step, device=self.values.device)
        return dataclasses.replace(self, values=mix(self.values ^ mix(at * GOLDEN + SECOND).unsqueeze(-1)))

    def to_instances(self, draws: Tensor) -> Tensor:
        """Hand the draws of each seed, (*step, seed, ...), to its instances: (*step, instance, ...)."""
        return draws if self.index is None else draws.index_select(self.values.ndim - 1, self.index)

    def __getitem__(self, step: int | slice) -> Keys:
        """The keys of one step, or of some."""
        return dataclasses.replace(self, values=self.values[step])


def make_keys(seed: int, stream: Stream, seed_index: Int64[Tensor, " instance"], steps: range | None = None) -> Keys:
    """Keys of a stream for each step and instance.

    Args:
        seed: The run's `seed_everything`.
        stream: What the draws are for: init, data, noise or evaluation.
        seed_index: The seed of each instance; equal ones share their draws.
        steps: Optimiser steps; None gives those of the whole stream, without a step axis.
    """
    distinct, inverse = torch.unique(seed_index, return_inverse=True)
    index = None if torch.equal(distinct, seed_index) else inverse
    root = torch.tensor([seed, get_args(Stream).index(stream)], device=seed_index.device)
    root = mix(mix(root[:1] + GOLDEN) + root[1:] * GOLDEN)
    keys = Keys(mix(root ^ mix(distinct * GOLDEN + FIRST)), index)
    return keys if steps is None else keys.at(steps)
