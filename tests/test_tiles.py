import functools
import subprocess

import pytest
import torch
from test_equalities import train as train_module

from polysemantic import spread, tiles
from polysemantic.autoencoder import Autoencoder
from polysemantic.data import OneHot
from polysemantic.ensemble import Ensemble
from polysemantic.objective import Weights
from polysemantic.products import HalvedProducts
from polysemantic.spread import SpreadSteps, quickest_products
from polysemantic.steps import EagerSteps, given
from polysemantic.tiles import TiledProducts

needs_units = pytest.mark.skipif(
    not TiledProducts.takes(32, 32, torch.float32), reason="no matrix units of bfloat16 (AMX) here"
)
# The parts of both factors leave out 2^-16 of them, and the product of the low ones is as small.
LEFT_OUT = 3 * 2**-16
SIZES = [(1, 32, 32), (3, 64, 32), (2, 32, 96), (1, 96, 544), (2, 256, 1024), (1, 1056, 64)]


def numbers(*shape, seed=0):
    """Numbers of all magnitudes that weights have."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * 10 ** torch.empty(shape).uniform_(-6, 1, generator=generator)


def tolerance(left, right):
    """What may be missing of a product, entry by entry, with room for the rounding of its sum in float32."""
    return (LEFT_OUT + 1e-6) * (left.double().abs() @ right.double().abs())


@needs_units
@pytest.mark.parametrize("size", SIZES)
def test_products_are_those_of_double_precision_but_for_what_the_parts_leave_out(size):
    W = numbers(*size)
    gram = torch.full((size[0], size[1], size[1]), torch.nan)
    TiledProducts().decode(W, W, gram)
    assert bool(((gram - W.double() @ W.double().mT).abs() <= tolerance(W, W.mT)).all())

    overlap, start = numbers(size[0], size[1], size[1], seed=1), numbers(*size, seed=2)
    for beta, alpha in ((0.0, 1.0), (1.0, -0.5), (0.25, 3.0)):
        out = torch.full_like(start, torch.nan) if beta == 0 else start.clone()
        TiledProducts().accumulate(overlap, W, out, beta=beta, alpha=alpha)
        expected = alpha * (overlap.double() @ W.double()) + beta * start.double()
        room = abs(alpha) * tolerance(overlap, W) + 1e-6 * beta * start.abs()
        assert bool(((out - expected).abs() <= room).all()), (beta, alpha)


@needs_units
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_lost_but_products_of_low_parts_where_two_parts_make_a_number_and_sums_are_exact(size):
    generator = torch.Generator().manual_seed(0)
    high = torch.randint(0, 2, size, generator=generator).float() * 2 - 1
    low = torch.randint(-3, 4, size, generator=generator).float() * 2**-11
    overlap = torch.randint(-3, 4, (size[0], size[1], size[1]), generator=generator).float()
    out = torch.empty_like(high)
    TiledProducts().accumulate(overlap, high + low, out, beta=0.0, alpha=2.0)
    assert torch.equal(out.double(), 2 * overlap.double() @ (high + low).double())
    gram = torch.empty_like(overlap)
    both = high + low
    TiledProducts().decode(both, both, gram)
    assert torch.equal(
        gram.double(), ((high + low).double() @ (high + low).double().mT - low.double() @ low.double().mT)
    )


@needs_units
def test_an_instance_has_the_same_bits_in_any_company():
    W, overlap = numbers(5, 64, 96), numbers(5, 64, 64, seed=1)
    together, alone = torch.empty(5, 64, 64), torch.empty(1, 64, 64)
    TiledProducts().decode(W, W, together)
    one = W[3:4]
    TiledProducts().decode(one, one, alone)
    assert torch.equal(together[3:4], alone)
    both, one = torch.empty_like(W), torch.empty(1, 64, 96)
    TiledProducts().accumulate(overlap, W, both, beta=0.0, alpha=1.0)
    TiledProducts().accumulate(overlap[3:4], W[3:4], one, beta=0.0, alpha=1.0)
    assert torch.equal(both[3:4], one)


@needs_units
def test_what_is_no_number_stays_with_its_instance_and_does_not_pass_for_one():
    W = numbers(2, 32, 32)
    W[0, 5, 7] = torch.inf
    gram = torch.empty(2, 32, 32)
    TiledProducts().decode(W, W, gram)
    assert not gram[0, 5].isfinite().any()
    assert gram[1].isfinite().all()


@needs_units
@pytest.mark.parametrize(("optimizer", "lr"), [(torch.optim.SGD, 0.3), (torch.optim.AdamW, 0.003)])
def test_a_training_ends_where_float32_ends(optimizer, lr):
    W = torch.randn(2, 64, 128, generator=torch.Generator().manual_seed(0)) / 128**0.5
    ends = []
    for kind in (SpreadSteps, EagerSteps):
        networks = Autoencoder(Weights(W.clone()), l1=torch.tensor([0.0, 0.001]))
        kind(networks, optimizer(networks.parameters(), lr=lr, fused=True))(300, given(None, None))
        ends.append(networks.W_enc.detach())
    assert isinstance(quickest_products(64, 128, torch.float32), TiledProducts)
    moved = (ends[1] - W).norm()
    assert moved > 1
    assert (ends[0] - ends[1]).norm() < 1e-2 * moved


def test_other_shapes_and_precisions_are_left_to_other_products():
    assert not TiledProducts.takes(48, 64, torch.float32)
    assert not TiledProducts.takes(64, 48, torch.float32)
    assert not TiledProducts.takes(64, 64, torch.float64)
    assert not isinstance(quickest_products(64, 64, torch.float32, compiled=False), TiledProducts)


@needs_units
@pytest.mark.parametrize("compile", ["auto", False])
def test_a_run_whose_steps_must_not_be_compiled_multiplies_in_float32(compile, monkeypatch):
    monkeypatch.setattr(spread, "_LARGE_PRODUCT", 1)
    made = []
    begin = SpreadSteps.__init__
    monkeypatch.setattr(SpreadSteps, "__init__", lambda self, *of, **by: (begin(self, *of, **by), made.append(self))[0])
    train_module(OneHot, (32, 64), Ensemble(2), max_steps=3, compile=compile)
    assert isinstance(made[0].products, TiledProducts) == (compile == "auto")


def no_compiler():
    raise tiles.InvalidCxxCompiler


def broken_compiler(*_, **__):
    raise subprocess.CalledProcessError(1, "c++")


@needs_units
@pytest.mark.parametrize(("name", "what"), [("get_cpp_compiler", no_compiler), ("subprocess.run", broken_compiler)])
def test_a_machine_without_a_compiler_falls_back_and_says_so_once(name, what, monkeypatch):
    monkeypatch.setattr(f"polysemantic.tiles.{name}", what)
    monkeypatch.setattr(tiles, "_library", functools.cache(tiles._library.__wrapped__))
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler for this processor's matrix units"):
        assert isinstance(quickest_products(64, 512, torch.float32), HalvedProducts)
    assert isinstance(quickest_products(64, 512, torch.float32), HalvedProducts)


def test_a_processor_without_units_is_not_asked_for_a_compiler(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(tiles, "get_cpp_compiler", no_compiler)
    monkeypatch.setattr(tiles, "_library", functools.cache(tiles._library.__wrapped__))
    assert not TiledProducts.takes(64, 64, torch.float32)
