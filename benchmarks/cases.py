from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor

from benchmarks.clock import device
from polysemantic import random
from polysemantic.data import IndependentBernoulli, InputDataModule, OneHot
from polysemantic.kernels.problem import Problem, Update
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule

# Numbers that the bare loop draws at a time, which drowns the cost of a call and still fits the cache.
_DRAWS_AT_ONCE = 2**21


@dataclasses.dataclass(frozen=True)
class Targets:
    """What a case must reach, None where nothing is asked.

    Args:
        standard: Times as fast as the standard formulation.
        bare: Share of the bare loop's steps per second.
        peak: Share of the measured peak rate of matrix products.
    """

    standard: float | None = None
    bare: float | None = None
    peak: float | None = None


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing to train: tied weights, linear hidden units, L1, no bias.

    Args:
        instances: Networks.
        features: Input coordinates.
        hidden: Neurons.
        batch: Inputs of one step; None for every feature once.
        probability: P(feature on) where there is a batch.
        noise_std: Standard deviation of the hidden noise, +-noise_std.
        sgd: Whether plain SGD trains it, in place of AdamW.
        targets: What it must reach.
    """

    instances: int
    features: int
    hidden: int
    batch: int | None = None
    probability: float = 0.1
    noise_std: float = 0.0
    sgd: bool = False
    targets: Targets = dataclasses.field(default_factory=Targets)
    l1 = 0.001
    weight_decay = 0.01

    @property
    def name(self) -> str:
        """The case in words."""
        inputs = "one-hot" if self.batch is None else f"Bernoulli {self.probability:g}"
        noise = " + Bernoulli noise" if self.noise_std else ""
        sizes = [self.instances, self.features, self.hidden, *([] if self.batch is None else [self.batch])]
        return f"{inputs}{noise} {', '.join(map(str, sizes))}{', SGD' if self.sgd else ''}"

    @property
    def rows(self) -> int:
        """Inputs of one step."""
        return self.features if self.batch is None else self.batch

    @property
    def learning_rate(self) -> float:
        """That of AdamW in the paper's figures; plain SGD needs more."""
        return 0.1 if self.sgd else 0.001

    @property
    def optimizer(self) -> functools.partial[Any]:
        """The optimiser with torch's default options, but for its learning rate."""
        if self.sgd:
            return functools.partial(torch.optim.SGD, lr=self.learning_rate)
        return functools.partial(torch.optim.AdamW, lr=self.learning_rate, weight_decay=self.weight_decay)

    @property
    def parameters(self) -> int:
        """Numbers that are trained."""
        return self.instances * self.features * self.hidden

    @property
    def activations(self) -> int:
        """Numbers in the inputs, hidden activations and outputs of one batch."""
        return self.instances * self.rows * (2 * self.features + self.hidden)

    @property
    def products(self) -> int:
        """Products of matrices of the closed form's dense path."""
        alone = self.batch is None and not self.noise_std
        return 2 if alone else 3 if self.batch is None else 5

    @property
    def flop(self) -> int:
        """Floating-point operations of these products in one step."""
        return self.products * 2 * self.rows * self.parameters

    def ensemble(self) -> Ensemble:
        """The instances."""
        return Ensemble(seeds=self.instances)

    def data(self) -> InputDataModule:
        """The inputs, bound to the instances."""
        data: InputDataModule
        if self.batch is None:
            data = OneHot(self.features)
        else:
            data = IndependentBernoulli(self.features, self.probability, batch_size=self.batch)
        data.bind(self.ensemble(), device=device())
        return data

    def module(self) -> EnsembleModule:
        """The module of a fit."""
        return EnsembleModule(self.features, self.hidden, self.ensemble(), l1=self.l1)

    def problem(self) -> Problem:
        """What the steps of a short fit compute."""
        density = self.data().density if self.batch is not None else 1.0
        return self.module().describe(device(), torch.float32, Update(), batch=self.batch, max_steps=1, density=density)

    def start(self) -> Tensor:
        """Initial weights, those of a fit."""
        module = self.module()
        return module.networks.W_enc.detach().to(device(), copy=True)

    @property
    def drawn(self) -> int:
        """Numbers that are drawn for a step of one instance."""
        return self.rows * ((self.batch is not None) * self.features + bool(self.noise_std) * self.hidden)

    @property
    def steps_at_once(self) -> int:
        """Steps whose draws are made together."""
        return max(1, _DRAWS_AT_ONCE // (self.instances * self.rows * (self.features + self.hidden)))

    def draws(self, data: InputDataModule, steps: range) -> tuple[Tensor | None, Tensor | None]:
        """Inputs and noise of some steps, those of a fit; None for inputs of every feature once, and without noise."""
        x = noise = None
        if self.batch is not None:
            x = data.sample(data.keys("data", steps))
        if self.noise_std:
            noise = random.noise(data.keys("noise", steps), "bernoulli", self.rows, self.hidden).mul_(self.noise_std)
        return x, noise


CASES = [
    Case(16, 256, 256, targets=Targets(3.5, 0.85, 0.40)),
    Case(16, 256, 1024, targets=Targets(4, 0.85, 0.50)),
    Case(16, 256, 4096, targets=Targets(6, 0.85, 0.45)),
    Case(5, 8, 16, noise_std=0.3, sgd=True, targets=Targets(4, 0.85)),
    Case(16, 256, 1024, 256, probability=0.02, targets=Targets(2.5, 0.85, 0.35)),
    Case(16, 64, 128, 128, probability=0.2, targets=Targets(1.4, 0.85)),
]
