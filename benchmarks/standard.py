from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.cases import Case


class Standard:
    """What every peer writes: dense batches, two einsums, autograd, the optimiser's default options.

    Args:
        case: What to train.
        W: Initial weights, shape (instance, feature, hidden).
    """

    name = "standard"

    def __init__(self, case: Case, W: Tensor) -> None:
        self.case = case
        self.W = torch.nn.Parameter(W.clone())
        self.optimizer = case.optimizer([self.W])
        self.generator = torch.Generator(W.device).manual_seed(0)
        self.identity = torch.eye(case.features, device=W.device).repeat(case.instances, 1, 1)

    def run(self, steps: int) -> None:
        """Train for some steps on draws of torch's own generator."""
        for _ in range(steps):
            self.step(*self._draw())

    def follow(self, x: Tensor | None, noise: Tensor | None, steps: int) -> Tensor:
        """Train on given draws, (step, instance, batch, ...), and give the weights."""
        for at in range(steps):
            self.step(self.identity if x is None else x[at], None if noise is None else noise[at])
        return self.W.detach()

    def step(self, x: Tensor, noise: Tensor | None) -> None:
        """One optimiser step; instance batch feature, instance feature hidden -> instance batch hidden and back."""
        h = torch.einsum("ibf,ifh->ibh", x, self.W)
        x_hat = torch.einsum("ibh,ifh->ibf", h if noise is None else h + noise, self.W).relu()
        error = (x_hat - x).square().sum(-1)
        loss = (error + self.case.l1 * h.abs().sum(-1)).mean(-1).sum()
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()

    def _draw(self) -> tuple[Tensor, Tensor | None]:
        case, x, noise = self.case, self.identity, None
        generator, device = self.generator, self.generator.device
        if case.batch is not None:
            drawn = torch.rand(case.instances, case.batch, case.features, generator=generator, device=device)
            x = (drawn < case.probability).float()
        if case.noise_std:
            size = (case.instances, case.rows, case.hidden)
            coins = torch.randint(2, size, generator=generator, device=device)
            noise = case.noise_std * (2.0 * coins - 1.0)
        return x, noise
