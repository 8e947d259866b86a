from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.cases import Case
from polysemantic.autoencoder import Autoencoder
from polysemantic.objective import Weights
from polysemantic.sparse import sparse_pays


class Bare:
    """The closed form and a fused optimiser in a plain Python loop, on the draws of a fit.

    Args:
        case: What to train.
        W: Initial weights, shape (instance, feature, hidden).
    """

    name = "bare"

    def __init__(self, case: Case, W: Tensor) -> None:
        self.case, self.data = case, case.data()
        self.networks = Autoencoder(Weights(W.clone()), l1=torch.full((case.instances,), case.l1))
        self.networks.sparse_inputs = sparse_pays(self.data.density, case.hidden)
        self.optimizer = case.optimizer(self.networks.parameters(), fused=True)
        self.trained = 0

    def run(self, steps: int) -> None:
        """Train for some steps, drawn in blocks."""
        stop = self.trained + steps
        for start in range(self.trained, stop, self.case.steps_at_once):
            block = range(start, min(start + self.case.steps_at_once, stop))
            self.follow(*self.case.draws(self.data, block), len(block))
        self.trained = stop

    def follow(self, x: Tensor | None, noise: Tensor | None, steps: int) -> Tensor:
        """Train on given draws, (step, instance, batch, ...), and give the weights."""
        for at in range(steps):
            self.networks.backward(None if x is None else x[at], None if noise is None else noise[at])
            self.optimizer.step()
        return self.networks.W_enc.detach()
