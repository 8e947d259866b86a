"""How steps are divided between graphs and eager steps; what a graph does is a GPU's (test_gpu.py)."""

import dataclasses

import pytest
import torch

from polysemantic.engine.base import Plan, Training
from polysemantic.engine.batches import BatchStream
from polysemantic.engine.cuda_graph import CudaGraphEngine, cut
from polysemantic.engine.eager import EagerEngine
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.weights import Weights

CALLS = (1, 3, 40, 100, 33, 32, 31, 64, 5, 200)


class Replayed:
    """Takes the steps that a graph would replay, on the inputs that were recorded."""

    def __init__(self, eager, length, inputs):
        self.eager, self.length, self.inputs, self.replays = eager, length, inputs, 0

    def replay(self):
        self.replays += 1
        self.eager.run(self.length, cut(self.inputs, 0, self.length), with_loss=False)


class WithoutGpu(CudaGraphEngine):
    """The engine with such a stand-in for each graph."""

    def __init__(self, training, plan):
        super().__init__(training, plan)
        self.recorded = []

    def record(self, length, inputs):
        self.recorded.append(Replayed(EagerEngine(self.training, self.plan), length, inputs))
        return self.recorded[-1]


def trained(kind, noise, change=lambda call, engine: None, drawn_at_once=10**6):
    """The engine after calls of many lengths, each of which gives losses if asked."""
    networks = Autoencoder(Weights(torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0)).mul(0.3)))
    networks.l1.fill_(0.01)
    optimizer = torch.optim.AdamW(networks.parameters(), lr=0.01, fused=True)
    engine, at = Plan(kind).make(Training(networks, optimizer)), 0
    for call, length in enumerate(CALLS):
        batches = BatchStream(
            lambda some, _, start=at: (None, None if noise is None else noise[start + some.start :][: len(some)]),
            numbers=0 if noise is None else 64,
            at_once=64 * 3 * drawn_at_once,
        )
        asked = call % 2 == 0
        loss = engine.run(length, batches, with_loss=asked)
        assert (loss is not None) or not asked
        at += length
        change(call, engine)
    return engine


def weights(engine):
    return engine.training.networks.W_enc.detach()


@pytest.mark.parametrize("drawn_at_once", [5, 40, 10**6])
@pytest.mark.parametrize("noisy", [False, True])
def test_graphs_and_eager_steps_take_the_steps_that_there_are_in_order(noisy, drawn_at_once):
    noise = torch.randn(sum(CALLS), 3, 8, 8).mul(0.1) if noisy else None
    graphed = trained(WithoutGpu, noise, drawn_at_once=drawn_at_once)
    assert torch.equal(weights(trained(EagerEngine, noise, drawn_at_once=drawn_at_once)), weights(graphed))
    assert [graph.length for graph in graphed.recorded] == [min(32, drawn_at_once) if noisy else 32]
    assert graphed.recorded[0].replays > 8


def test_another_option_is_recorded_again_after_a_step_with_it():
    def change(call, engine):
        if call == 4:
            engine.training.optimizer.param_groups[0]["lr"] /= 2
        if call == 7:
            engine.training.networks.l1 *= 2

    graphed = trained(WithoutGpu, None, change)
    assert torch.equal(weights(trained(EagerEngine, None, change)), weights(graphed))
    assert len(graphed.recorded) == 3


def test_a_stream_of_some_instances_is_the_same_stream():
    stream = BatchStream(
        lambda steps, instances: (torch.arange(6.0).view(2, 3)[steps.start : steps.stop, instances], None)
    )
    assert dataclasses.replace(stream, instances=slice(1, 3)) == stream.of(slice(1, 3))
    ((steps, x, noise),) = stream.of(slice(1, 3)).read(2, 2)
    assert (steps, x.tolist(), noise) == (range(2), [[1.0, 2.0], [4.0, 5.0]], None)
