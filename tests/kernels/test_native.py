import dataclasses
import functools
import subprocess

import pytest
import torch
from torch._inductor.exc import InvalidCxxCompiler

from polysemantic.data import IndependentBernoulli
from polysemantic.engine.base import Plan, Training
from polysemantic.engine.batches import given_batches
from polysemantic.engine.eager import EagerEngine
from polysemantic.engine.select import prepare
from polysemantic.engine.threaded import ThreadedEngine
from polysemantic.kernels.native import base, extension
from polysemantic.kernels.native.amx import AmxMatmul
from polysemantic.kernels.native.avx512 import Avx512Matmul
from polysemantic.kernels.problem import Problem, Processor
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.ensemble import Ensemble
from polysemantic.model.weights import Weights
from tests.support.kernels import NATIVE
from tests.support.training import DATA, EXACT, assert_equal_weights, train

COMPILER = "torch._inductor.cpp_builder.get_cpp_compiler"
# Of a product: the parts of both factors leave out 2^-16 of them, and the product of the low ones is as small.
LEFT_OUT = {AmxMatmul: 3 * 2**-16, Avx512Matmul: 0}
# Of a sum of products of either sign: each of some 256 additions in a row is off by 2^-24 of it at most.
ROUNDED = 2**-16
SIZES = [(1, 32, 32), (3, 64, 32), (2, 32, 96), (1, 96, 544), (2, 256, 1024), (1, 1056, 64)]


def numbers(*shape, seed=0):
    """Numbers of all magnitudes that weights have."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * 10 ** torch.empty(shape).uniform_(-6, 1, generator=generator)


def tolerance(kind, left, right):
    """What a product may be off by, entry by entry."""
    return (LEFT_OUT[kind] + ROUNDED) * (left.double().abs() @ right.double().abs())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", NATIVE)
def test_products_are_those_of_double_precision_but_for_what_the_parts_leave_out(kind, size):
    W = numbers(*size)
    gram = torch.full((size[0], size[1], size[1]), torch.nan)
    kind().nt(W, W, gram)
    assert bool(((gram - W.double() @ W.double().mT).abs() <= tolerance(kind, W, W.mT)).all())

    overlap, start = numbers(size[0], size[1], size[1], seed=1), numbers(*size, seed=2)
    for beta, alpha in ((0.0, 1.0), (1.0, -0.5), (0.25, 3.0)):
        out = torch.full_like(start, torch.nan) if beta == 0 else start.clone()
        kind().nn(overlap, W, out, beta=beta, alpha=alpha)
        expected = alpha * (overlap.double() @ W.double()) + beta * start.double()
        room = abs(alpha) * tolerance(kind, overlap, W) + 1e-6 * beta * start.abs()
        assert bool(((out - expected).abs() <= room).all()), (beta, alpha)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", NATIVE[:1])
def test_nothing_is_lost_but_products_of_low_parts_where_two_parts_make_a_number_and_sums_are_exact(kind, size):
    generator = torch.Generator().manual_seed(0)
    high = torch.randint(0, 2, size, generator=generator).float() * 2 - 1
    low = torch.randint(-3, 4, size, generator=generator).float() * 2**-11
    overlap = torch.randint(-3, 4, (size[0], size[1], size[1]), generator=generator).float()
    out = torch.empty_like(high)
    kind().nn(overlap, high + low, out, beta=0.0, alpha=2.0)
    assert torch.equal(out.double(), 2 * overlap.double() @ (high + low).double())
    gram = torch.empty_like(overlap)
    both = high + low
    kind().nt(both, both, gram)
    assert torch.equal(gram.double(), both.double() @ both.double().mT - low.double() @ low.double().mT)


@pytest.mark.parametrize("kind", NATIVE)
def test_products_with_another_matrix_are_those_of_double_precision_too(kind):
    h, W = numbers(2, 64, 544), numbers(2, 96, 544, seed=1)
    out = torch.full((2, 64, 96), torch.nan)
    kind().nt(h, W, out)
    assert bool(((out - h.double() @ W.double().mT).abs() <= tolerance(kind, h, W.mT)).all())
    few = torch.full((2, 21, 96), torch.nan)
    kind().nt(h[:, :21].contiguous(), W, few)
    torch.testing.assert_close(few, out[:, :21], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("batch", [8, 21, 544])
@pytest.mark.parametrize("kind", NATIVE)
def test_products_with_inputs_are_those_of_double_precision(kind, batch):
    x, W, y = numbers(2, batch, 96), numbers(2, 96, 64, seed=1), numbers(2, batch, 64, seed=2)
    h, overlap = torch.full((2, batch, 64), torch.nan), torch.full((2, 96, 64), torch.nan)
    kind().nn(x, W, h)
    assert bool(((h - x.double() @ W.double()).abs() <= tolerance(kind, x, W)).all())
    kind().tn(x, y, overlap)
    assert bool(((overlap - x.double().mT @ y.double()).abs() <= tolerance(kind, x.mT, y)).all())


@pytest.mark.parametrize("kind", NATIVE)
def test_an_instance_has_the_same_bits_in_any_ensemble(kind):
    W, overlap = numbers(5, 64, 96), numbers(5, 64, 64, seed=1)
    together, alone = torch.empty(5, 64, 64), torch.empty(1, 64, 64)
    kind().nt(W, W, together)
    one = W[3:4]
    kind().nt(one, one, alone)
    assert torch.equal(together[3:4], alone)
    both, one = torch.empty_like(W), torch.empty(1, 64, 96)
    kind().nn(overlap, W, both, beta=0.0, alpha=1.0)
    kind().nn(overlap[3:4], W[3:4], one, beta=0.0, alpha=1.0)
    assert torch.equal(both[3:4], one)


@pytest.mark.parametrize("kind", NATIVE)
def test_what_is_no_number_stays_with_its_instance_and_does_not_pass_for_one(kind):
    W = numbers(2, 32, 32)
    W[0, 5, 7] = torch.inf
    gram = torch.empty(2, 32, 32)
    kind().nt(W, W, gram)
    assert not gram[0, 5].isfinite().any()
    assert gram[1].isfinite().all()


@pytest.mark.parametrize("kind", NATIVE)
@pytest.mark.parametrize(("optimizer", "lr"), [(torch.optim.SGD, 0.3), (torch.optim.AdamW, 0.003)])
def test_a_training_ends_where_float32_ends(kind, optimizer, lr):
    W = torch.randn(2, 128, 128, generator=torch.Generator().manual_seed(0)) / 128**0.5
    ends = []
    for plan in (Plan(ThreadedEngine, kind), Plan(EagerEngine)):
        networks = Autoencoder(Weights(W.clone()), l1=torch.tensor([0.0, 0.001]))
        engine = plan.make(Training(networks, optimizer(networks.parameters(), lr=lr, fused=True)))
        engine.run(300, given_batches(None, None))
        ends.append(networks.W_enc.detach())
    moved = (ends[1] - W).norm()
    assert moved > 1
    assert (ends[0] - ends[1]).norm() < 1e-2 * moved


@pytest.mark.parametrize("kind", NATIVE)
@pytest.mark.parametrize("data", DATA)
def test_an_instance_has_the_same_bits_eagerly_in_a_small_ensemble_and_in_threads_in_a_large_one(kind, data):
    eager, threaded = Plan(EagerEngine, kind), Plan(ThreadedEngine, kind, block=3)
    few = train(DATA[data], (32, 32), Ensemble(3), plan=eager, l1=0.01, noise_std=0.1)
    many = train(DATA[data], (32, 32), Ensemble(11), plan=threaded, l1=0.01, noise_std=0.1)
    assert_equal_weights(few, many, EXACT)


class Turned(IndependentBernoulli):
    """Inputs that are not contiguous in memory."""

    def sample(self, keys):
        return super().sample(keys).mT.contiguous().mT


@pytest.mark.parametrize("kind", NATIVE)
@pytest.mark.parametrize("engine", [EagerEngine, ThreadedEngine])
def test_inputs_may_lie_in_any_order(kind, engine):
    turned, straight = (
        train(
            functools.partial(each, probability=0.2, batch_size=32), (32, 32), Ensemble(2), max_steps=20,
            plan=Plan(engine, kind),
        )
        for each in (Turned, IndependentBernoulli)
    )  # fmt: skip
    assert_equal_weights(turned, straight, EXACT)


def no_compiler():
    raise InvalidCxxCompiler


def broken_compiler(*_, **__):
    raise subprocess.CalledProcessError(1, "c++")


@pytest.fixture
def nothing_compiled_yet(monkeypatch, tmp_path):
    """Compile as another process would, whose caches are empty."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    caches = extension.compiled, base.native_library
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


HAS = {AmxMatmul: Processor(amx=True), Avx512Matmul: Processor(avx512=True, library_avx512=False)}


@pytest.mark.usefixtures("nothing_compiled_yet")
@pytest.mark.parametrize("kind", HAS)
@pytest.mark.parametrize(("name", "what"), [(COMPILER, no_compiler), ("subprocess.run", broken_compiler)])
def test_a_machine_without_a_compiler_falls_back_and_says_so_once(kind, name, what, monkeypatch):
    monkeypatch.setattr(name, what)
    problem = Problem(4, 64, 512, threads=2, processor=HAS[kind])
    with pytest.warns(UserWarning, match=f"no C\\+\\+ compiler for this processor's {kind.units}"):
        plan = prepare(problem)
    assert plan.matmul.name == "symmetric"
    assert prepare(problem) == plan
    assert prepare(dataclasses.replace(problem, processor=Processor())) == plan
