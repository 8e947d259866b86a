from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.cases import Case
from polysemantic.data import InputDataModule
from polysemantic.engine.base import Plan, Training
from polysemantic.engine.batches import BatchStream, given_batches
from polysemantic.engine.select import prepare
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.weights import Weights


class Bare:
    """Steps of a fit, by the same engine and kernel, in a plain Python loop on the draws of a fit.

    Args:
        case: What to train.
        W: Initial weights, shape (instance, feature, hidden).
        plan: How to take steps; the plan of a short fit if None.
        data: The inputs, bound to the instances; those of the case if None.
    """

    name = "bare"

    def __init__(self, case: Case, W: Tensor, plan: Plan | None = None, data: InputDataModule | None = None) -> None:
        self.case, self.data = case, data or case.data()
        self.networks = Autoencoder(Weights(W.clone()), l1=torch.full((case.instances,), case.l1))
        self.optimizer = case.optimizer(self.networks.parameters(), fused=True)
        self.plan = plan or prepare(case.problem())
        self.engine = self.plan.make(Training(self.networks, self.optimizer))
        self.trained = 0

    def run(self, steps: int) -> None:
        """Train for some steps, drawn a few at a time."""
        start = self.trained

        def draw(some: range, instances: slice) -> tuple[Tensor | None, Tensor | None]:
            return self.case.draws(self.data.of(instances), range(start + some.start, start + some.stop))

        self.engine.run(steps, BatchStream(draw, self.case.drawn, self.data.device), with_loss=False)
        self.trained += steps

    def follow(self, x: Tensor | None, noise: Tensor | None, steps: int) -> Tensor:
        """Train on given draws, (step, instance, batch, ...), and give the weights."""
        self.engine.run(steps, given_batches(x, noise), with_loss=False)
        return self.networks.W_enc.detach()
