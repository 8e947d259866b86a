"""How steps are divided between graphs and steps one by one; what a graph does is a GPU's (test_gpu.py)."""

import pytest
import torch

from polysemantic.engine import cuda_graph as graphed
from polysemantic.engine import eager as steps
from polysemantic.engine.cuda_graph import GraphedSteps
from polysemantic.engine.eager import Draws, EagerSteps
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.weights import Weights

CALLS = (1, 3, 40, 100, 33, 32, 31, 64, 5, 200)


class StandIn:
    """Takes the steps that a graph would replay, on the inputs that were recorded."""

    def __init__(self, graphs, length):
        self.graphs, self.length, self.replays = graphs, length, 0

    def replay(self):
        self.replays += 1
        recorded = graphed._part(self.graphs._inputs, 0, self.length)
        self.graphs._one_by_one(self.length, recorded, with_loss=False)


@pytest.fixture
def made(monkeypatch):
    """The graphs that are recorded."""
    graphs = []

    def record(self, length, inputs):
        self._inputs = [None if block is None else torch.empty_like(block[:length]) for block in inputs]
        self._graph, self._recorded = StandIn(self, length), self._constants(length)
        graphs.append(self._graph)

    monkeypatch.setattr(GraphedSteps, "_record", record)
    return graphs


def make(kind):
    networks = Autoencoder(Weights(torch.randn(3, 8, 8).mul(0.3)), l1=torch.full((3,), 0.01))
    return kind(networks, torch.optim.AdamW(networks.parameters(), lr=0.01, fused=True))


def taken(kind, noise, change=lambda taken, way: None):
    """The weights after calls of many lengths, each of which gives losses if asked."""
    torch.manual_seed(0)
    way, at = make(kind), 0
    for calls, length in enumerate(CALLS):
        start = at
        draws = Draws(
            lambda some, _, start=start: (None, None if noise is None else noise[start + some.start :][: len(some)]),
            numbers=0 if noise is None else 64,
        )
        asked = calls % 2 == 0
        loss = way(length, draws, with_loss=asked)
        assert (loss is not None) or not asked
        at += length
        change(calls, way)
    return way.network.W_enc.detach()


@pytest.mark.parametrize("block", [5, 40, 10**6])
@pytest.mark.parametrize("noisy", [False, True])
def test_graphs_and_steps_one_by_one_take_the_steps_that_there_are_in_order(noisy, block, made, monkeypatch):
    monkeypatch.setattr(steps, "_DRAWN_AT_ONCE", 64 * 3 * block)
    noise = torch.randn(sum(CALLS), 3, 8, 8).mul(0.1) if noisy else None
    assert torch.equal(taken(EagerSteps, noise), taken(GraphedSteps, noise))
    assert [graph.length for graph in made] == [min(32, block) if noisy else 32]
    assert made[0].replays > 8


def test_another_option_is_recorded_anew_after_a_step_with_it(made):
    def change(calls, way):
        if calls == 4:
            way.optimizer.param_groups[0]["lr"] /= 2
        if calls == 7:
            way.network.l1 *= 2

    assert torch.equal(taken(EagerSteps, None, change), taken(GraphedSteps, None, change))
    assert len(made) == 3
