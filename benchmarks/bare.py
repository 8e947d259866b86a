from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.cases import Case
from polysemantic.engine.cuda_graph import GraphedSteps
from polysemantic.engine.eager import Draws, EagerSteps, Steps, given
from polysemantic.engine.select import tensor_cores_pay, use_tensor_cores
from polysemantic.engine.threaded import SpreadSteps, quickest_products, spreading_pays
from polysemantic.kernels.sparse import sparse_pays
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.weights import Weights


class Bare:
    """Steps of a fit, in closed form with a fused optimiser, in a plain Python loop on the draws of a fit.

    Args:
        case: What to train.
        W: Initial weights, shape (instance, feature, hidden).
    """

    name = "bare"

    def __init__(self, case: Case, W: Tensor) -> None:
        self.case, self.data = case, case.data()
        self.networks = Autoencoder(Weights(W.clone()), l1=torch.full((case.instances,), case.l1))
        self.optimizer = case.optimizer(self.networks.parameters(), fused=True)
        self.trained = 0
        self.steps: Steps = EagerSteps(self.networks, self.optimizer)
        if tensor_cores_pay(W.device):
            use_tensor_cores(self.networks)
        if GraphedSteps.takes(self.networks, self.optimizer):
            self.steps = GraphedSteps(self.networks, self.optimizer)
        elif W.is_cpu:
            self._take_threads()

    def _take_threads(self) -> None:
        case = self.case
        products = quickest_products(case.features, case.hidden, torch.float32)
        self.networks.sparse_inputs = sparse_pays(self.data.density, products.sparse_up_to, case.hidden)
        if spreading_pays(case.instances, case.rows, case.features, case.hidden, products):
            self.steps = SpreadSteps(self.networks, self.optimizer, batch=case.batch)
        else:
            self.networks.products = products

    def run(self, steps: int) -> None:
        """Train for some steps, drawn in blocks."""

        def make(some: range, instances: slice) -> tuple[Tensor | None, Tensor | None]:
            return self.case.draws(self.data.of(instances), range(start + some.start, start + some.stop))

        start = self.trained
        self.steps(steps, Draws(make, self.case.drawn, self.data.device), with_loss=False)
        self.trained += steps

    def follow(self, x: Tensor | None, noise: Tensor | None, steps: int) -> Tensor:
        """Train on given draws, (step, instance, batch, ...), and give the weights."""
        self.steps(steps, given(x, noise), with_loss=False)
        return self.networks.W_enc.detach()
