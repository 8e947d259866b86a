import math

import pytest
import torch
from scipy import stats

from polysemantic import random
from tests import reference
from tests.support.random import keys_of

LEVEL = 1e-6
DRAWS = {
    "uniform": lambda keys: random.uniform(keys, 5, 27),
    "bernoulli": lambda keys: random.bernoulli(keys, 0.3, 5, 27),
    "bernoulli by feature": lambda keys: random.bernoulli(keys, torch.linspace(0, 1, 27), 40, 27),
    "integers": lambda keys: random.integers(keys, 1000, 5, 27),
    "permutation": lambda keys: random.permutation(keys, 27),
    "normal": lambda keys: random.normal(keys, 5, 27),
    "signs": lambda keys: random.signs(keys, 5, 27),
    "laplace": lambda keys: random.noise(keys, "laplace", 5, 27),
    "folded": lambda keys: random.uniform(keys.fold(3), 5, 27),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_an_instance_draws_the_same_bits_beside_any_others(draw):
    whole = draw(keys_of(0, 1, 2, 3, 4))
    assert torch.equal(draw(keys_of(3)), whole[3:4])
    assert torch.equal(draw(keys_of(4, 0)), whole[[4, 0]])


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_step_draws_the_same_bits_beside_any_other_steps(draw):
    whole = draw(keys_of(0, 1, steps=range(10)))
    assert torch.equal(draw(keys_of(0, 1, steps=range(4, 7))), whole[4:7])
    assert torch.equal(draw(keys_of(0, 1, steps=range(1, 10, 4))), whole[1::4])
    assert torch.equal(draw(keys_of(0, 1, steps=range(10))[6]), whole[6])


# Many steps have so many bits that the kernel makes them, and one step has so few that torch does.
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_step_draws_the_same_bits_beside_so_many_others_that_the_kernel_makes_them(draw):
    whole = draw(keys_of(2**40, 5, 3, 3, steps=range(7, 6007)))
    for at in (0, 2500, 5999):
        assert torch.equal(draw(keys_of(2**40, 5, 3, 3, steps=range(7 + at, 8 + at)))[0], whole[at])


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("steps", [None, range(3)])
def test_grid_points_share_the_draws_of_their_seeds(draw, steps):
    shared, alone = draw(keys_of(0, 1, 0, 1, 1, steps=steps)), draw(keys_of(0, 1, steps=steps))
    axis = 0 if steps is None else 1
    assert torch.equal(shared, alone.index_select(axis, torch.tensor([0, 1, 0, 1, 1])))


@pytest.mark.parametrize("size", [1, 2, 7, 8, 63, 64, 65])
@pytest.mark.parametrize("draw", [random.uniform, random.normal, random.signs], ids=lambda draw: draw.__name__)
def test_a_number_depends_on_its_own_index_and_not_on_how_many_are_drawn(draw, size):
    assert torch.equal(draw(keys_of(0, 1), size), draw(keys_of(0, 1), 200)[:, :size])


def test_draws_of_different_keys_are_independent():
    keys = [
        keys_of(*range(4), stream=stream, seed=seed, steps=range(3)).fold(purpose)
        for stream in ("init", "data", "noise", "evaluation")
        for seed in (0, 1)
        for purpose in (0, 1)
    ]
    signs = torch.cat([random.signs(some, 2**14).flatten(0, 1) for some in keys]).double()
    agreements = ((signs @ signs.T + 2**14) / 2)[tuple(torch.triu_indices(len(signs), len(signs), 1))]
    tails = stats.binom.sf((agreements - 2**13).abs().numpy() + 2**13 - 1, 2**14, 0.5)
    assert 2 * tails.min() * len(tails) > LEVEL


@pytest.mark.parametrize("lag", [1, 2, 3, 64, 256])
def test_neighbouring_draws_of_a_key_are_independent(lag):
    u = random.uniform(keys_of(0), 2**18)[0]
    cell = (u[:-lag] * 8).long() * 8 + (u[lag:] * 8).long()
    # Overlapping pairs are not independent of one another: every second block of pairs is.
    cell = cell[(torch.arange(len(cell)) // lag) % 2 == 0]
    assert stats.chisquare(torch.bincount(cell, minlength=64).numpy()).pvalue > LEVEL


def test_uniform_draws_are_uniform_multiples_of_two_to_the_minus_24():
    u = random.uniform(keys_of(*range(8)), 2**17).flatten()
    multiples = u.double() * 2**24
    assert torch.equal(multiples, multiples.round())
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u.numpy(), "uniform").pvalue > LEVEL
    bits = (multiples.long().unsqueeze(-1) >> torch.arange(24)) & 1
    tails = stats.binom.cdf([min(ones, len(u) - ones) for ones in bits.sum(0).tolist()], len(u), 0.5)
    assert 2 * tails.min() * 24 > LEVEL


@pytest.mark.parametrize("probability", [1e-5, 0.01, 0.5, 0.999])
def test_bernoulli_draws_come_up_with_their_probability(probability):
    seen = random.bernoulli(keys_of(*range(8)), probability, 2**17)
    tail = min(
        stats.binom.cdf(seen.sum(), seen.numel(), probability),
        stats.binom.sf(seen.sum() - 1, seen.numel(), probability),
    )
    assert 2 * tail > LEVEL


@pytest.mark.parametrize("integer", [0, 1, 2**31 - 1, -(2**31), -1])
def test_probabilities_zero_and_one_are_exact_for_all_random_bits(integer):
    keys = random.Keys(torch.tensor([reference.key_that_draws(integer)]))
    for probability in (0.0, 1.0):
        assert random.bernoulli(keys, probability, 1).item() == (probability == 1)


def test_a_larger_probability_only_adds_events():
    keys = keys_of(0, 0, 0)
    some = random.bernoulli(keys, torch.tensor([0.1, 0.2, 0.9]).reshape(3, 1, 1), 50, 50)
    assert not (some[:-1] & ~some[1:]).any()


@pytest.mark.parametrize("high", [1, 2, 7, 100])
def test_integers_are_equally_likely(high):
    drawn = random.integers(keys_of(*range(4)), high, 2**16)
    seen = torch.bincount(drawn.flatten(), minlength=high)
    assert len(seen) == high
    assert high == 1 or stats.chisquare(seen.numpy()).pvalue > LEVEL


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_every_order_of_a_few_is_equally_likely(size):
    orders = random.permutation(keys_of(*range(8), steps=range(3000)), size).reshape(-1, size)
    assert torch.equal(orders.sort(-1).values, torch.arange(size).expand_as(orders))
    _, seen = orders.unique(dim=0, return_counts=True)
    assert len(seen) == math.factorial(size)
    assert size == 1 or stats.chisquare(seen.numpy()).pvalue > LEVEL


@pytest.mark.parametrize(
    ("law", "kurtosis", "eighth_moment"),
    [("bernoulli", 1.0, 1.0), ("uniform", 1.8, 9.0), ("gaussian", 3.0, 105.0), ("laplace", 6.0, 2520.0)],
)
def test_moments_of_the_noise_laws_are_within_five_standard_errors(law, kurtosis, eighth_moment):
    x = random.noise(keys_of(*range(8), stream="noise"), law, 2**17).double()
    n = x.numel()
    assert abs(x.mean()) <= 5 / math.sqrt(n)
    assert abs((x**2).mean() - 1) <= 5 * math.sqrt((kurtosis - 1) / n) + 1e-6
    assert abs((x**4).mean() - kurtosis) <= 5 * math.sqrt((eighth_moment - kurtosis**2) / n) + 1e-6
    assert (x.sign() != 0).all()


@pytest.mark.parametrize(
    ("law", "distribution"),
    [
        ("uniform", stats.uniform(-math.sqrt(3), 2 * math.sqrt(3))),
        ("gaussian", stats.norm()),
        ("laplace", stats.laplace(0, math.sqrt(0.5))),
    ],
)
def test_noise_follows_its_law(law, distribution):
    x = random.noise(keys_of(*range(4), stream="noise"), law, 2**16)
    assert stats.kstest(x.flatten().numpy(), distribution.cdf).pvalue > LEVEL


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_another_device_draws_the_same_bits(draw):
    seeds = torch.tensor([0, 1, 0])
    here, there = (draw(random.make_keys(0, "data", seeds.to(device), range(3))) for device in ("cpu", "cuda"))
    # Inverting a law is floating-point work, which devices round in their own ways.
    torch.testing.assert_close(there.cpu(), here, rtol=1e-5, atol=1e-6)
    if not here.is_floating_point():
        assert torch.equal(there.cpu(), here)
