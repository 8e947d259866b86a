import contextlib
import copy
import dataclasses
import functools

import pytest
import torch
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import StepLR

from polysemantic.data import IndependentBernoulli, OneHot
from polysemantic.engine import threaded as spread
from polysemantic.engine.eager import EagerSteps, given
from polysemantic.engine.threaded import SpreadSteps, quickest_products, spreading_pays
from polysemantic.kernels.matmul import HalvedProducts, Products
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.ensemble import Ensemble
from polysemantic.model.objective import ClosedForm
from polysemantic.model.weights import Weights
from tests.support.kernels import KINDS
from tests.support.ranks import assert_same_ends, assert_same_runs, fit_on
from tests.support.training import (
    DATA,
    EXACT,
    SIZES,
    assert_equal_weights,
    assert_independent_of_company_and_chunks,
)
from tests.support.training import train as train_module

pytestmark = pytest.mark.usefixtures("unchecked")

OPTIMISERS = {
    "SGD": functools.partial(SGD, lr=0.1),
    "SGD with momentum": functools.partial(SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01, fused=True),
    "Adam": functools.partial(Adam, lr=0.01, fused=True),
    "AdamW": functools.partial(AdamW, lr=0.01, weight_decay=0.1, fused=True),
    "AdamW, not fused": functools.partial(AdamW, lr=0.01, weight_decay=0.1, amsgrad=True),
}
PRODUCTS = [Products, HalvedProducts, *KINDS]
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


@pytest.fixture
def spread_all(monkeypatch):
    """Every network that can be is spread, however small, and a thread has several blocks."""
    monkeypatch.setattr(spread, "_LARGE_PRODUCT", 1)
    monkeypatch.setattr(spread, "_IN_CACHE", 4 * 2 * 16 * 8)


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


def take(kind, optimizer, chunks=(30,), networks=None, data="every feature once", drawn=0, **options):
    """Trained networks, their optimiser and their last losses, as if so many numbers were drawn for a step of one."""
    networks = make_networks() if networks is None else networks
    networks.sparse_inputs = data == "sparse"
    optimizer = OPTIMISERS[optimizer](networks.parameters())
    steps = kind(networks, optimizer, **options)
    drawn_for_all = draw(data, sum(chunks), networks.W_enc.shape[2])
    done = 0
    for chunk in chunks:
        x, noise = (None if these is None else these[done : done + chunk] for these in drawn_for_all)
        draws = dataclasses.replace(given(x, noise), numbers=drawn)
        loss, done = steps(chunk, draws), done + chunk
    return networks, optimizer, loss


def assert_same(one, other, **tolerance):
    for name, values in one[0].state_dict().items():
        torch.testing.assert_close(values, other[0].state_dict()[name], **tolerance)
    states = [optimizer.state_dict()["state"] for _, optimizer, _ in (one, other)]
    torch.testing.assert_close(*states, **tolerance)
    torch.testing.assert_close(one[2], other[2], **tolerance)


@pytest.mark.parametrize("data", BATCHES)
@pytest.mark.parametrize("clip_norm", [None, 0.3])
@pytest.mark.parametrize("optimizer", OPTIMISERS)
def test_weights_state_and_losses_are_those_of_steps_one_by_one(optimizer, clip_norm, data):
    with threads(2):
        mine = take(SpreadSteps, optimizer, data=data, clip_norm=clip_norm)
    its = take(EagerSteps, optimizer, data=data, clip_norm=clip_norm)
    assert (its[0].W_enc - make_networks().W_enc).abs().max() > 0.05
    assert_same(mine, its, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("data", BATCHES)
@pytest.mark.parametrize("products", PRODUCTS)
@pytest.mark.parametrize("optimizer", ["SGD with momentum", "AdamW"])
def test_no_bit_depends_on_threads_blocks_and_chunks(optimizer, products, data, monkeypatch):
    monkeypatch.setattr(spread, "quickest_products", lambda *_, **__: products())
    with threads(1):
        alone = take(SpreadSteps, optimizer, networks=make_networks(n_hidden=64), data=data)
    # As many numbers as are drawn at once make blocks of 30, 8 and 1 of a network's steps.
    for number, in_cache, chunks, drawn in [
        (2, 2**20, (30,), 1),
        (3, 1, (10, 20), 2**16),
        (5, 4 * 2 * N_FEATURES * 64, (1, 28, 1), 2**30),
    ]:
        monkeypatch.setattr(spread, "_IN_CACHE", in_cache)
        with threads(number):
            networks = make_networks(n_hidden=64)
            assert_same(take(SpreadSteps, optimizer, chunks, networks, data, drawn), alone, **EXACT)


def test_double_precision_agrees_with_steps_one_by_one_to_its_last_digits():
    with threads(2):
        mine = take(SpreadSteps, "AdamW", networks=make_networks(dtype=torch.float64))
    assert_same(mine, take(EagerSteps, "AdamW", networks=make_networks(dtype=torch.float64)), rtol=1e-9, atol=1e-12)


def test_half_the_products_give_the_whole_gram_matrix():
    W = torch.randn(3, 40, 70, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = [Weights(torch.empty_like(W)) for _ in range(2)]
    losses = [
        ClosedForm(products=products)(None, Weights(W), gradient, with_loss=True)
        for products, gradient in zip((HalvedProducts(), Products()), gradients, strict=True)
    ]
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*(gradient.W_enc for gradient in gradients))


@pytest.mark.parametrize(
    ("capability", "by_intel", "of_few_neurons"),
    [("AVX2", True, True), ("AVX512", True, False), ("AVX512_SPR", True, False), ("AVX512", False, True)],
)
def test_half_the_product_is_computed_where_that_is_quicker(capability, by_intel, of_few_neurons, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr("polysemantic.kernels.matmul._by_intel", lambda: by_intel)
    halved = [isinstance(quickest_products(256, n, torch.float32, compiled=False), HalvedProducts) for n in (512, 511)]
    assert halved == [True, of_few_neurons]
    assert type(quickest_products(64, 511, torch.float32, compiled=False)) is Products


def test_options_changed_between_chunks_and_tensors_put_elsewhere_are_seen():
    ends = []
    for kind in (SpreadSteps, EagerSteps):
        networks = make_networks()
        optimizer = OPTIMISERS["AdamW"](networks.parameters())
        steps = kind(networks, optimizer)
        steps(10, given(None, None))
        optimizer.param_groups[0]["lr"] *= 0.1
        steps(10, given(None, None))
        networks.l1.mul_(3)
        steps(10, given(None, None))
        networks.l1 = networks.l1 + 0.1
        networks.W_enc.data = networks.W_enc.detach() * 0.5
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        ends.append((networks, optimizer, steps(10, given(None, None))))
    assert_same(*ends, rtol=1e-4, atol=1e-5)


def test_the_process_keeps_its_number_of_threads():
    with threads(2):
        take(SpreadSteps, "SGD", (1, 1))
        assert torch.get_num_threads() == 2
        assert torch.__config__.parallel_info().split("at::get_num_threads() : ")[1].startswith("2")


class Mine(Autoencoder):
    def encode(self, x):
        return super().encode(x)


def hooked(networks):
    optimizer = OPTIMISERS["AdamW"](networks.parameters())
    optimizer.register_step_post_hook(lambda *_: None)
    return optimizer


REFUSED = {
    "a user's network": lambda W: (Mine(Weights(W)), None),
    "untied": lambda W: (Autoencoder(Weights(W, W.clone())), None),
    "relu": lambda W: (Autoencoder(Weights(W), act="relu"), None),
    "half precision": lambda W: (Autoencoder(Weights(W.bfloat16())), None),
    "fewer large instances than threads": lambda W: (Autoencoder(Weights(torch.ones(1, 256, 32))), None),
    "a parameter that is not trained": lambda W: (Autoencoder(Weights(W)).requires_grad_(False), None),
    "a hooked optimiser": lambda W: (Autoencoder(Weights(W)), hooked),
    "two groups": lambda W: (
        Autoencoder(Weights(W, None, W[:, :, 0].clone())),
        lambda n: AdamW([{"params": [p]} for p in n.parameters()]),
    ),
    "a parameter more": lambda W: (
        Autoencoder(Weights(W)),
        lambda n: AdamW([*n.parameters(), torch.nn.Parameter(W[0].clone())]),
    ),
    "another optimiser": lambda W: (Autoencoder(Weights(W)), lambda n: torch.optim.RMSprop(n.parameters())),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_spread_is_left_to_other_steps(what):
    networks, make = REFUSED[what](torch.ones(2, 4, 6))
    make = make or (lambda networks: AdamW(networks.parameters()))
    with threads(2):
        tied = Autoencoder(Weights(torch.ones(2, 4, 6)))
        assert SpreadSteps.takes(tied, AdamW(tied.parameters()))
        assert not SpreadSteps.takes(networks, make(networks))


def test_large_networks_without_a_schedule_are_spread_and_others_are_not(monkeypatch):
    assert spreading_pays(1, 1, 256, 256, Products())
    assert not spreading_pays(1000, 1000, 64, 64, Products())
    made = []
    begin = SpreadSteps.__init__
    monkeypatch.setattr(SpreadSteps, "__init__", lambda *of, **by: (made.append(of), begin(*of, **by))[1])
    monkeypatch.setattr(spread, "_LARGE_PRODUCT", 16**2 * 8)
    cases = [
        (OneHot, (16, 8), {}, True),
        (OneHot, (16, 7), {}, False),
        (OneHot, (16, 8), {"noise_std": 0.1}, True),
        (OneHot, (16, 8), {"lr_scheduler": lambda optimizer: StepLR(optimizer, 5)}, False),
        (OneHot, (16, 8), {"act": "relu"}, False),
        (functools.partial(OneHot, batch_size=9), (16, 8), {}, True),
        (functools.partial(IndependentBernoulli, probability=0.1, batch_size=16), (16, 8), {}, True),
    ]
    for data, size, options, expected in cases:
        made.clear()
        train_module(data, size, Ensemble(2), max_steps=3, **options)
        assert bool(made) == expected, (data, size, options)


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
def test_a_spread_instance_has_the_same_bits_in_any_company_and_chunks(spread_all, data, optimizer, size):
    for number in (1, 2):
        with threads(number):
            assert_independent_of_company_and_chunks(DATA[data], SIZES[size], optimizer=OPTIMISERS[optimizer])


def test_a_spread_run_is_that_of_steps_one_by_one(spread_all, monkeypatch):
    spread_run = train_module(OneHot, (16, 8), Ensemble(3), clip_norm=0.5, bias=True)
    monkeypatch.setattr(spread, "_LARGE_PRODUCT", 2**40)
    eager = train_module(OneHot, (16, 8), Ensemble(3), clip_norm=0.5, bias=True)
    assert_equal_weights(spread_run, eager, {"rtol": 0, "atol": 1e-4})


def test_a_module_can_be_copied_after_training(spread_all):
    module = train_module(OneHot, (16, 8), Ensemble(2), max_steps=3)
    assert_equal_weights(copy.deepcopy(module), module, EXACT)


def test_two_and_three_ranks_end_with_the_bits_of_one_spread_run(tmp_path, spread_all):
    alone = fit_on(1, tmp_path / "1")
    assert len(alone.collisions)
    for ranks in (2, 3):
        assert_same_runs(fit_on(ranks, tmp_path / str(ranks)), alone)


def test_a_spread_run_continued_ends_as_one_without_a_break(tmp_path, spread_all):
    whole = fit_on(1, tmp_path / "whole", max_steps=200)
    first = fit_on(1, tmp_path / "broken", max_steps=100)
    checkpoint = first.directory / "checkpoints" / "last.ckpt"
    with threads(2):
        rest = fit_on(1, tmp_path / "broken", max_steps=200, ckpt_path=str(checkpoint))
    assert_same_ends(rest, whole)
