"""Inputs and noise of consecutive optimiser steps, as a stream that engines read from."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic import random
from polysemantic.data import InputDataModule
from polysemantic.functional import numbers_at_once

# Numbers drawn at a time: enough to drown the cost of a call, few enough for a CPU's cache.
_DRAWN_AT_ONCE = 2**19
_CPU = torch.device("cpu")

Drawn = tuple[Tensor | None, Tensor | None]


@dataclasses.dataclass(frozen=True)
class BatchStream:
    """Inputs and noise of steps, drawn when they are read.

    Args:
        draw: Gives inputs, shape (step, instance, batch, feature), None for every feature once, and noise, None
            without, for a range of steps and some instances. Steps count from 0 at the start of the stream.
        numbers: Numbers drawn for one step of one instance; 0 if nothing is drawn.
        device: Where they are drawn.
        instances: The instances that this stream serves.
        at_once: Numbers drawn in one call on a CPU, about.
    """

    draw: Callable[[range, slice], Drawn]
    numbers: int = 0
    device: torch.device = _CPU
    instances: slice = dataclasses.field(default_factory=lambda: slice(None))
    at_once: int = _DRAWN_AT_ONCE

    def of(self, instances: slice) -> BatchStream:
        """The same stream for some of the instances."""
        return dataclasses.replace(self, instances=instances)

    def length(self, n_instances: int, multiple: int = 1) -> int:
        """Steps that are drawn together: a multiple of the number given, without bound if nothing is drawn."""
        if not self.numbers:
            return sys.maxsize
        at_once = numbers_at_once(self.device, self.at_once)
        return max(1, at_once // (self.numbers * n_instances) // multiple) * multiple

    def read(
        self, steps: int, n_instances: int, multiple: int = 1
    ) -> Iterator[tuple[range, Tensor | None, Tensor | None]]:
        """So many steps, a few at a time: which steps, their inputs and their noise."""
        length = self.length(n_instances, multiple)
        for start in range(0, steps, length):
            some = range(start, min(start + length, steps))
            yield some, *self.draw(some, self.instances)


def given_batches(x: Tensor | None, noise: Tensor | None) -> BatchStream:
    """A stream of inputs and noise that exist already, for all instances."""
    return BatchStream(
        lambda steps, instances: (
            None if x is None else x[steps.start : steps.stop, instances],
            None if noise is None else noise[steps.start : steps.stop, instances],
        )
    )


class HiddenNoise(NamedTuple):
    """The hidden noise of training.

    Args:
        law: Its law.
        std: Standard deviation of each instance.
        n_hidden: Neurons.
    """

    law: random.NoiseLaw
    std: Float[Tensor, "instance 1 1"]
    n_hidden: int


def drawn_batches(
    data: InputDataModule,
    start: int,
    dtype: torch.dtype,
    noise: HiddenNoise | None = None,
    rows: slice | None = None,
) -> BatchStream:
    """The stream of a run from an optimiser step on.

    Args:
        data: Where inputs come from.
        start: The optimiser step at which the stream begins.
        dtype: Precision of inputs and noise.
        noise: Hidden noise; None without.
        rows: The rows of each batch that this process computes, where processes divide batches; None for all.
    """
    # Of every feature once a process that computes some rows needs those rows as inputs.
    draws_inputs = not data.every_feature_once or rows is not None

    def draw(steps: range, instances: slice) -> Drawn:
        some, at = data.block(instances), range(start + steps.start, start + steps.stop)
        x = drawn_noise = None
        if draws_inputs:
            x = _rows(some.sample(some.keys("data", at)).to(dtype).contiguous(), rows)
        if noise is not None:
            drawn = random.noise(some.keys("noise", at), noise.law, some.batch_size, noise.n_hidden)
            drawn_noise = _rows(drawn.to(dtype), rows).mul_(noise.std[instances])
        return x, drawn_noise

    numbers = draws_inputs * data.n_features + (0 if noise is None else noise.n_hidden)
    return BatchStream(draw, numbers * data.batch_size, data.device)


def _rows(draws: Tensor, rows: slice | None) -> Tensor:
    return draws if rows is None else draws[..., rows, :].contiguous()
