import contextlib
import copy
import dataclasses
import functools

import pytest
import torch
from torch.optim import SGD, Adam, AdamW

from polysemantic.data import OneHot
from polysemantic.engine.base import Plan, Training
from polysemantic.engine.batches import given_batches
from polysemantic.engine.eager import EagerEngine
from polysemantic.engine.fused_optimizer import is_plain
from polysemantic.engine.threaded import ThreadedEngine
from polysemantic.model.autoencoder import Autoencoder, has_standard_objective
from polysemantic.model.ensemble import Ensemble
from polysemantic.model.weights import Weights
from tests.support.kernels import KERNELS
from tests.support.ranks import assert_same_ends, assert_same_runs, fit_on
from tests.support.training import (
    DATA,
    EXACT,
    SIZES,
    assert_equal_weights,
    assert_independent_of_ensemble_and_chunks,
    train,
)

pytestmark = pytest.mark.usefixtures("unchecked")

OPTIMISERS = {
    "SGD": functools.partial(SGD, lr=0.1),
    "SGD with momentum": functools.partial(SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, fused=True),
    "Adam": functools.partial(Adam, lr=0.01, fused=True),
    "AdamW": functools.partial(AdamW, lr=0.01, weight_decay=0.1, fused=True),
    "AdamW, not fused": functools.partial(AdamW, lr=0.01, weight_decay=0.1, amsgrad=True),
}
N_INSTANCES, N_FEATURES, N_HIDDEN = 5, 32, 48
# One as large as whole tiles and one that is not, with more and fewer inputs than features.
BATCHES = {"every feature once": 32, "sparse": 64, "dense": 21, "with noise": 64}


@contextlib.contextmanager
def threads(number):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make_networks(bias=True, dtype=torch.float32, n_hidden=N_HIDDEN):
    W = torch.randn(N_INSTANCES, N_FEATURES, n_hidden, generator=torch.Generator().manual_seed(0)).to(dtype) / 6
    b = torch.full((N_INSTANCES, N_FEATURES), -0.05, dtype=dtype) if bias else None
    return Autoencoder(Weights(W, None, b), l1=torch.arange(N_INSTANCES) / 100, importance=torch.full((5,), 0.95))


def draw(data, steps, n_hidden):
    """Inputs and noise of so many steps."""
    if data == "every feature once":
        return None, None
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(steps, N_INSTANCES, BATCHES[data], N_FEATURES, generator=generator) < 0.1
    noise = torch.randn(steps, N_INSTANCES, BATCHES[data], n_hidden, generator=generator) / 10
    return x.float(), noise if data == "with noise" else None


def take(plan, optimizer, chunks=(30,), networks=None, data="every feature once", drawn=0, clip_norm=None):
    """Trained networks, their optimiser and their last losses, as if so many numbers were drawn for a step of one."""
    networks = make_networks() if networks is None else networks
    optimizer = OPTIMISERS[optimizer](networks.parameters())
    plan = dataclasses.replace(plan, sparse_inputs=data == "sparse")
    engine = plan.make(Training(networks, optimizer, clip_norm=clip_norm))
    drawn_for_all = draw(data, sum(chunks), networks.W_enc.shape[2])
    done = 0
    for chunk in chunks:
        x, noise = (None if these is None else these[done : done + chunk] for these in drawn_for_all)
        batches = dataclasses.replace(given_batches(x, noise), numbers=drawn)
        loss, done = engine.run(chunk, batches), done + chunk
    return networks, optimizer, loss


def assert_same(one, other, **tolerance):
    for name, values in one[0].state_dict().items():
        torch.testing.assert_close(values, other[0].state_dict()[name], **tolerance)
    states = [optimizer.state_dict()["state"] for _, optimizer, _ in (one, other)]
    torch.testing.assert_close(*states, **tolerance)
    torch.testing.assert_close(one[2], other[2], **tolerance)


EAGER, THREADED = Plan(EagerEngine), Plan(ThreadedEngine, block=2)


@pytest.mark.parametrize("data", BATCHES)
@pytest.mark.parametrize("clip_norm", [None, 0.3])
@pytest.mark.parametrize("optimizer", OPTIMISERS)
def test_weights_state_and_losses_are_those_of_the_eager_engine(optimizer, clip_norm, data):
    with threads(2):
        mine = take(THREADED, optimizer, data=data, clip_norm=clip_norm)
    its = take(EAGER, optimizer, data=data, clip_norm=clip_norm)
    assert (its[0].W_enc - make_networks().W_enc).abs().max() > 0.05
    assert_same(mine, its, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("data", BATCHES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("optimizer", ["SGD with momentum", "AdamW"])
def test_no_bit_depends_on_threads_blocks_and_chunks(optimizer, kernel, data):
    with threads(1):
        alone = take(Plan(ThreadedEngine, kernel, block=5), optimizer, networks=make_networks(n_hidden=64), data=data)
    # As many numbers as are drawn at once make blocks of 30, 8 and 1 of a network's steps.
    for number, block, chunks, drawn in [(2, 3, (30,), 1), (3, 1, (10, 20), 2**16), (5, 2, (1, 28, 1), 2**30)]:
        with threads(number):
            networks = make_networks(n_hidden=64)
            plan = Plan(ThreadedEngine, kernel, block=block)
            assert_same(take(plan, optimizer, chunks, networks, data, drawn), alone, **EXACT)


def test_double_precision_agrees_with_the_eager_engine_to_its_last_digits():
    with threads(2):
        mine = take(THREADED, "AdamW", networks=make_networks(dtype=torch.float64))
    assert_same(mine, take(EAGER, "AdamW", networks=make_networks(dtype=torch.float64)), rtol=1e-9, atol=1e-12)


def test_options_changed_between_chunks_and_tensors_put_elsewhere_are_seen():
    ends = []
    for plan in (THREADED, EAGER):
        networks = make_networks()
        optimizer = OPTIMISERS["AdamW"](networks.parameters())
        engine, nothing = plan.make(Training(networks, optimizer)), given_batches(None, None)
        engine.run(10, nothing)
        optimizer.param_groups[0]["lr"] *= 0.1
        engine.run(10, nothing)
        networks.l1.mul_(3)
        engine.run(10, nothing)
        networks.l1 = networks.l1 + 0.1
        networks.W_enc.data = networks.W_enc.detach() * 0.5
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        ends.append((networks, optimizer, engine.run(10, nothing)))
    assert_same(*ends, rtol=1e-4, atol=1e-5)


def test_the_process_keeps_its_number_of_threads():
    with threads(2):
        take(THREADED, "SGD", (1, 1))
        assert torch.get_num_threads() == 2
        assert torch.__config__.parallel_info().split("at::get_num_threads() : ")[1].startswith("2")


class Mine(Autoencoder):
    def encode(self, x):
        return super().encode(x)


def hooked(networks):
    optimizer = OPTIMISERS["AdamW"](networks.parameters())
    optimizer.register_step_post_hook(lambda *_: None)
    return optimizer


OTHERS = {
    "a parameter that is not trained": (lambda W: Autoencoder(Weights(W)).requires_grad_(False), None),
    "a hooked optimiser": (lambda W: Autoencoder(Weights(W)), hooked),
    "two groups": (
        lambda W: Autoencoder(Weights(W, None, W[:, :, 0].clone())),
        lambda n: AdamW([{"params": [p]} for p in n.parameters()]),
    ),
    "a parameter more": (
        lambda W: Autoencoder(Weights(W)),
        lambda n: AdamW([*n.parameters(), torch.nn.Parameter(torch.ones(2))]),
    ),
    "another optimiser": (lambda W: Autoencoder(Weights(W)), lambda n: torch.optim.RMSprop(n.parameters())),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_cannot_be_divided_is_no_plain_update(what):
    make_networks_of, make = OTHERS[what]
    W = torch.ones(2, 4, 6)
    tied = Autoencoder(Weights(W.clone()))
    assert is_plain(AdamW(tied.parameters()), list(tied.parameters()))
    networks = make_networks_of(W)
    optimizer = (make or (lambda networks: AdamW(networks.parameters())))(networks)
    assert not is_plain(optimizer, list(networks.parameters()))


def test_a_user_s_network_is_not_of_our_own_class():
    assert has_standard_objective(Autoencoder)
    assert not has_standard_objective(Mine)


@pytest.mark.parametrize(
    ("data", "optimizer", "size"),
    [
        ("every feature once", "AdamW", "5 x 3"),
        ("every feature once", "SGD with momentum", "16 x 5"),
        ("one-hot", "SGD with momentum", "8 x 6"),
        ("bernoulli", "AdamW", "16 x 5"),
        ("bernoulli", "SGD with momentum", "5 x 3"),
    ],
)
def test_an_instance_trained_in_threads_has_the_same_bits_in_any_ensemble_and_chunks(data, optimizer, size):
    for number in (1, 2):
        with threads(number):
            assert_independent_of_ensemble_and_chunks(
                DATA[data], SIZES[size], optimizer=OPTIMISERS[optimizer], engine="threaded"
            )


def test_a_run_in_threads_is_that_of_the_eager_engine():
    threaded, eager = (
        train(OneHot, (16, 8), Ensemble(3), plan=plan, clip_norm=0.5, bias=True) for plan in (THREADED, EAGER)
    )
    assert_equal_weights(threaded, eager, {"rtol": 0, "atol": 1e-4})


def test_a_module_can_be_copied_after_training():
    module = train(OneHot, (16, 8), Ensemble(2), max_steps=3, engine="threaded")
    assert_equal_weights(copy.deepcopy(module), module, EXACT)


def test_two_and_three_ranks_end_with_the_bits_of_one_run(tmp_path):
    alone = fit_on(1, tmp_path / "1", engine="threaded")
    assert len(alone.collisions)
    for ranks in (2, 3):
        assert_same_runs(fit_on(ranks, tmp_path / str(ranks), engine="threaded"), alone)


def test_a_run_continued_ends_as_one_without_a_break(tmp_path):
    whole = fit_on(1, tmp_path / "whole", max_steps=200, engine="threaded")
    first = fit_on(1, tmp_path / "broken", max_steps=100, engine="threaded")
    checkpoint = first.directory / "checkpoints" / "last.ckpt"
    with threads(2):
        rest = fit_on(1, tmp_path / "broken", max_steps=200, ckpt_path=str(checkpoint), engine="threaded")
    assert_same_ends(rest, whole)
