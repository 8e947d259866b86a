from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from polysemantic import data as distributions
from polysemantic import random
from polysemantic.data import (
    CooccurrenceDial,
    GaussianCopula,
    HalfSplit,
    Hierarchical,
    IndependentBernoulli,
    InputDataModule,
    KHot,
    OneHot,
    PairMixture,
)
from polysemantic.data.subset import uniform_subset
from polysemantic.data.testing import check_data_module
from polysemantic.ensemble import Ensemble

MAGNITUDE = st.sampled_from(["one", "uniform"])
BATCH = st.sampled_from([1, 3, 64])
PROBABILITY = st.sampled_from([0.0, 1.0, 0.03]) | st.floats(0, 1)


def several(values):
    return st.lists(values, min_size=1, max_size=2, unique=True)


@st.composite
def blocks(draw, most=4):
    """A number of features, and the size of the blocks that it consists of."""
    size, number = draw(st.integers(1, most)), draw(st.integers(1, 3))
    return size * number, size


@st.composite
def one_hot(draw):
    batch_size = draw(st.none() | BATCH)
    return {"n_features": draw(st.integers(1, 6)), "batch_size": batch_size}, {}


@st.composite
def independent_bernoulli(draw):
    vary = {"probability": draw(several(PROBABILITY)), "zipf_exponent": draw(several(st.floats(0, 3)))}
    return {"n_features": draw(st.integers(1, 6)), "probability": 0.5}, vary


@st.composite
def pair_mixture(draw):
    return {"n_features": draw(st.integers(2, 6)), "pair_probability": 0.5}, {
        "pair_probability": draw(several(PROBABILITY))
    }


@st.composite
def cooccurrence_dial(draw):
    n, size = draw(blocks())
    vary = {
        "probability": draw(several(st.sampled_from([0.0, 1 / size]) | st.floats(0, 1 / size))),
        "dial": draw(several(st.sampled_from([-1.0, 0.0, 1.0]) | st.floats(-1, 1))),
    }
    return {"n_features": n, "probability": 0.0, "dial": 0.0, "group_size": size}, vary


@st.composite
def k_hot(draw):
    n = draw(st.integers(1, 6))
    return {"n_features": n, "k": draw(st.integers(1, n))}, {}


@st.composite
def half_split(draw):
    size, parts = draw(st.integers(1, 4)), draw(st.integers(2, 3))
    fractions = several(st.integers(1, size).map(lambda count: count / size))
    return {"n_features": size * parts, "n_parts": parts, "active_fraction": 1.0}, {"active_fraction": draw(fractions)}


@st.composite
def gaussian_copula(draw):
    n, size = draw(blocks())
    vary = {"probability": draw(several(PROBABILITY)), "correlation": draw(several(PROBABILITY))}
    return {"n_features": n, "probability": 0.5, "correlation": 0.5, "block_size": size}, vary


@st.composite
def hierarchical(draw):
    depth, branching = draw(st.sampled_from([(1, 1), (1, 3), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2)]))
    n = draw(st.integers(1, 2)) * sum(branching**level for level in range(depth))
    arguments = {"n_features": n, "depth": depth, "branching": branching, "exclusive": draw(st.booleans())}
    return arguments | {"probability": 0.5}, {"probability": draw(several(PROBABILITY))}


SPACES = {
    OneHot: one_hot(),
    IndependentBernoulli: independent_bernoulli(),
    PairMixture: pair_mixture(),
    CooccurrenceDial: cooccurrence_dial(),
    KHot: k_hot(),
    HalfSplit: half_split(),
    GaussianCopula: gaussian_copula(),
    Hierarchical: hierarchical(),
}


def on(data: InputDataModule, step: int = 0) -> torch.Tensor:
    return data.inputs(step) > 0


@pytest.mark.parametrize("kind", SPACES, ids=lambda kind: kind.__name__)
@settings(derandomize=True, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(draws=st.data())
def test_every_class_keeps_the_contract_all_over_its_parameter_space(kind, draws):
    arguments, vary = draws.draw(SPACES[kind])
    arguments = {"batch_size": draws.draw(BATCH), "magnitude": draws.draw(MAGNITUDE)} | arguments
    assert set(vary) == set(kind.can_vary)
    check_data_module(lambda: kind(**arguments), vary, n_inputs=2**12)


def test_the_parameter_spaces_cover_every_exported_class():
    elsewhere = {"InputDataModule", "FeatureFile"}
    assert {kind.__name__ for kind in SPACES} | elsewhere == set(distributions.__all__)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PairMixture(32, 0.3),
        lambda: KHot(32, 5),
        lambda: KHot(32, 20),
        lambda: HalfSplit(32),
        lambda: CooccurrenceDial(32, 0.03, -0.5),
        lambda: CooccurrenceDial(32, 0.03, 0.5, group_size=4),
        lambda: GaussianCopula(32, 0.05, 0.6, block_size=8),
        lambda: Hierarchical(30, 0.4, depth=4),
        lambda: Hierarchical(30, 0.4, depth=4, exclusive=True),
        lambda: Hierarchical(26, 0.4, depth=3, branching=3, exclusive=True),
        lambda: IndependentBernoulli(32, 0.001, magnitude="uniform"),
    ],
)
def test_frequencies_of_many_features_are_those_of_the_cooccurrence(make):
    check_data_module(make, n_inputs=2**16)


@pytest.mark.parametrize("kind", SPACES, ids=lambda kind: kind.__name__)
def test_a_rank_s_slice_of_a_varied_ensemble_serves_what_the_whole_serves(kind):
    data = {
        OneHot: lambda: OneHot(4, batch_size=8),
        IndependentBernoulli: lambda: IndependentBernoulli(4, 0.5),
        PairMixture: lambda: PairMixture(4, 0.5),
        CooccurrenceDial: lambda: CooccurrenceDial(4, 0.25, 0.5),
        KHot: lambda: KHot(4, 2),
        HalfSplit: lambda: HalfSplit(8),
        GaussianCopula: lambda: GaussianCopula(4, 0.5, 0.5),
        Hierarchical: lambda: Hierarchical(7, 0.5, depth=3, exclusive=True),
    }[kind]()
    values = {"active_fraction": [0.25, 1.0, 0.5]}
    ensemble = Ensemble(2, {name: values.get(name, [0.2, 0.0, 0.1]) for name in kind.can_vary})
    data.bind(ensemble, seed=3)
    whole, joint = data.sample(data.keys("data", range(4, 6))), data.cooccurrence()
    for part in (slice(0, 2), slice(1, ensemble.n_instances)):
        data.bind(ensemble, seed=3, instances=part)
        assert torch.equal(data.sample(data.keys("data", range(4, 6))), whole[:, part])
        assert torch.equal(data.cooccurrence(), joint[part])


@pytest.mark.parametrize(
    ("kind", "rest"), [(PairMixture, {"pair_probability": 0.5}), (HalfSplit, {"active_fraction": 1.0})]
)
def test_two_features_are_the_smallest_for_classes_with_two_of_something(kind, rest):
    check_data_module(lambda: kind(n_features=2, **rest), n_inputs=2**10)
    with pytest.raises(ValueError, match=r"^`n_features` must be at least 2, got 1\.$"):
        kind(n_features=1, **rest)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: OneHot(n),
        lambda n: IndependentBernoulli(n, 0.5),
        lambda n: CooccurrenceDial(n, 0.5, -1.0),
        lambda n: KHot(n, 1),
        lambda n: GaussianCopula(n, 0.5, 0.5),
        lambda n: Hierarchical(n, 0.5, depth=1),
    ],
)
def test_one_feature_has_no_companions_and_none_is_an_error(make):
    check_data_module(lambda: make(1), n_inputs=2**10)
    assert make(1).expected_companions().tolist() == [[0.0]]
    with pytest.raises(ValueError, match=r"^`n_features` must be at least 1, got 0\.$"):
        make(0)


@pytest.mark.parametrize("pair_probability", [0.0, 1.0])
def test_pair_mixture_has_one_feature_on_or_two(pair_probability):
    assert (on(PairMixture(5, pair_probability)).sum(-1) == 1 + pair_probability).all()


@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 1), (5, 2), (5, 4), (5, 5), (64, 31), (64, 33)])
def test_k_hot_has_exactly_k_features_on(n, k):
    data = KHot(n, k)
    assert (on(data).sum(-1) == k).all()
    if n > 1:
        assert data.expected_companions().flatten().tolist() == pytest.approx([k - 1] * n)
    if 1 <= k < n:
        assert data.phi()[0, 0, 1].item() == pytest.approx(-1 / (n - 1))


@pytest.mark.parametrize("counts", [[2], [3], [1, 2, 3, 4]])
def test_every_subset_of_a_size_is_equally_likely(counts):
    keys = random.make_keys(0, "data", torch.arange(len(counts)))
    chosen = uniform_subset(keys, 5, counts, 20_000)
    code = (chosen.long() * 2 ** torch.arange(5)).sum(-1)
    for instance, count in enumerate(counts):
        possible = [sum(2**i for i in subset) for subset in itertools.combinations(range(5), count)]
        seen = torch.bincount(code[instance], minlength=32)[possible]
        assert seen.sum() == 20_000
        assert stats.chisquare(seen.numpy()).pvalue > 1e-6


def test_a_subset_does_not_depend_on_larger_ones_beside_it():
    keys = random.make_keys(0, "data", torch.tensor([0, 0, 0]))
    together = uniform_subset(keys, 9, [2, 4, 7], 50)
    for instance, count in enumerate([2, 4, 7]):
        alone = uniform_subset(random.make_keys(0, "data", torch.tensor([0])), 9, [count], 50)
        assert torch.equal(alone[0], together[instance])


@pytest.mark.parametrize(("n_parts", "active_fraction"), [(2, 0.5), (2, 1.0), (3, 0.25), (6, 0.5)])
def test_half_split_has_the_exact_fraction_of_one_part_on(n_parts, active_fraction):
    in_part = on(HalfSplit(24, n_parts, active_fraction)).unflatten(-1, (n_parts, -1)).sum(-1)
    assert (in_part.amax(-1) == active_fraction * 24 / n_parts).all()
    assert ((in_part > 0).sum(-1) == 1).all()


def test_half_split_accepts_a_whole_count_that_is_not_whole_in_floating_point():
    assert (on(HalfSplit(2 * 49, active_fraction=3 * (1 / 49))).sum(-1) == 3).all()


def test_only_two_parts_are_a_partition_with_signs():
    assert HalfSplit(4, active_fraction=1.0).partition.tolist() == [1, 1, -1, -1]
    assert HalfSplit(6, n_parts=3, active_fraction=1.0).partition is None
    assert OneHot(4).partition is None


@pytest.mark.parametrize("probability", [0.01, 0.2, 0.25])
@pytest.mark.parametrize("dial", [-1.0, -0.4, 0.0, 0.3, 1.0])
def test_the_dial_is_phi_within_a_group_and_phi_is_zero_across(probability, dial):
    phi = CooccurrenceDial(8, probability, dial, group_size=4).phi()[0]
    expected = dial if dial >= 0 else dial * probability / (1 - probability)
    assert phi[0, 3].item() == pytest.approx(expected)
    assert phi[0, 4].item() == pytest.approx(0, abs=1e-12)


def test_the_extremes_of_the_dial_are_mutually_exclusive_and_synchronised():
    assert on(CooccurrenceDial(8, 0.2, -1.0, group_size=4)).unflatten(-1, (2, 4)).sum(-1).max() == 1
    assert (on(CooccurrenceDial(8, 1 / 8, -1.0)).sum(-1) == 1).all()
    together = on(CooccurrenceDial(8, 0.5, 1.0, group_size=4)).unflatten(-1, (2, 4)).sum(-1)
    assert set(together.unique().tolist()) == {0, 4}


def test_the_dial_at_zero_gives_the_inputs_of_independent_bernoulli():
    assert torch.equal(CooccurrenceDial(6, 0.3, 0.0, group_size=2).inputs(1), IndependentBernoulli(6, 0.3).inputs(1))


@pytest.mark.parametrize("probability", [1e-4, 0.01, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("rho", [0.0, 0.2, 0.7, 0.99])
def test_the_copula_s_orthant_probability_is_that_of_the_bivariate_normal(probability, rho):
    data = GaussianCopula(4, probability, rho, block_size=2)
    joint, threshold = data.cooccurrence()[0], stats.norm.ppf(probability)
    expected = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([threshold, threshold])
    assert joint[0, 1].item() == pytest.approx(expected, rel=1e-6)
    assert joint[0, 2].item() == pytest.approx(probability**2)
    assert rho == 0 or 0 < data.phi()[0, 0, 1] < rho


def test_fully_correlated_blocks_of_the_copula_are_on_or_off_as_one():
    together = on(GaussianCopula(8, 0.5, 1.0, block_size=4)).unflatten(-1, (2, 4)).sum(-1)
    assert set(together.unique().tolist()) == {0, 4}


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("probability", [0.6, 1.0])
def test_children_are_on_only_under_their_parent_and_alone_if_exclusive(exclusive, probability):
    data = Hierarchical(26, probability, depth=3, branching=3, exclusive=exclusive)
    assert data.parents.tolist() == [-1] * 2 + [i // 3 for i in range(24)]
    active = on(data)
    for parent in range(8):
        children = active[..., data.parents == parent]
        assert not (children.any(-1) & ~active[..., parent]).any()
        if exclusive:
            assert children.sum(-1).max() == 1
        if probability == 1:
            assert (children.sum(-1) == active[..., parent] * (1 if exclusive else 3)).all()


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_cooccurrence_of_a_tree_is_the_product_along_its_paths(exclusive):
    data, p = Hierarchical(14, 0.6, depth=3, branching=2, exclusive=exclusive), 0.6
    parents = data.parents.tolist()

    def path(feature):
        return set() if feature == -1 else {feature} | path(parents[feature])

    for i, j in itertools.product(range(14), repeat=2):
        steps = path(i) | path(j)
        siblings = any(a != b and parents[a] == parents[b] != -1 for a, b in itertools.product(steps, repeat=2))
        expected = math.prod(p / 2 if exclusive and parents[step] != -1 else p for step in steps)
        assert data.cooccurrence()[0, i, j].item() == pytest.approx(0 if exclusive and siblings else expected)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_certain_features_have_no_correlation(probability):
    data = IndependentBernoulli(3, probability)
    assert (on(data) == bool(probability)).all()
    assert data.phi().isnan().all()
    assert data.expected_companions().isnan().all() == (probability == 0)


def test_an_active_feature_is_above_zero_even_where_its_draw_is_zero(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda keys, *shape: torch.zeros(*keys.values.shape, *shape))
    assert on(KHot(4, 4, magnitude="uniform")).all()


def test_evaluation_draws_are_fixed_and_not_those_of_training():
    data = KHot(16, 4)
    assert torch.equal(data.evaluation_inputs(0), data.evaluation_inputs(0))
    assert not torch.equal(data.evaluation_inputs(0), data.inputs(0))
    assert not torch.equal(data.evaluation_inputs(0), data.evaluation_inputs(1))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: PairMixture(4, 1.5), "`pair_probability` must lie in [0, 1], got 1.5."),
        (lambda: PairMixture(4, math.nan), "`pair_probability` must lie in [0, 1], got nan."),
        (lambda: KHot(4, 0), "`k` must lie in 1 .. `n_features`, 4, got 0."),
        (lambda: KHot(4, 5), "`k` must lie in 1 .. `n_features`, 4, got 5."),
        (lambda: HalfSplit(8, n_parts=1), "`n_parts` must be at least 2, got 1."),
        (lambda: HalfSplit(8, n_parts=3), "`n_parts` must divide `n_features`, 8, got 3."),
        (lambda: HalfSplit(8, active_fraction=0.0), "`active_fraction` must lie in (0, 1], got 0.0."),
        (
            lambda: HalfSplit(6),
            "`active_fraction` must give a whole number of the 3 features of a part, got 0.5.",
        ),
        (
            lambda: HalfSplit(8, active_fraction=1e-9),
            "`active_fraction` must give a whole number of the 4 features of a part, got 1e-09.",
        ),
        (lambda: CooccurrenceDial(4, -0.1, 0.0), "`probability` must lie in [0, 1], got -0.1."),
        (lambda: CooccurrenceDial(4, 0.1, 2.0), "`dial` must lie in [-1, 1], got 2.0."),
        (lambda: CooccurrenceDial(4, 0.1, 0.0, group_size=3), "`group_size` must divide `n_features`, 4, got 3."),
        (lambda: CooccurrenceDial(4, 0.1, 0.0, group_size=0), "`group_size` must divide `n_features`, 4, got 0."),
        (
            lambda: CooccurrenceDial(4, 0.3, -0.1),
            "`probability` must be at most 1 / 4 where `dial` < 0, for 4 features to exclude one another, got 0.3.",
        ),
        (lambda: GaussianCopula(4, 1.1, 0.5), "`probability` must lie in [0, 1], got 1.1."),
        (lambda: GaussianCopula(4, 0.5, -0.5), "`correlation` must lie in [0, 1], got -0.5."),
        (lambda: GaussianCopula(4, 0.5, 0.5, block_size=3), "`block_size` must divide `n_features`, 4, got 3."),
        (lambda: Hierarchical(3, 1.1), "`probability` must lie in [0, 1], got 1.1."),
        (lambda: Hierarchical(3, 0.5, depth=0), "`depth` must be at least 1, got 0."),
        (lambda: Hierarchical(3, 0.5, branching=0), "`branching` must be at least 1, got 0."),
        (
            lambda: Hierarchical(8, 0.5, depth=3),
            "`n_features` must be a multiple of 7, the size of a tree, got 8.",
        ),
        (lambda: KHot(4, 1, batch_size=0), "`batch_size` must be at least 1, got 0."),
        (lambda: IndependentBernoulli(4, 2.0), "`probability` must lie in [0, 1], got 2.0."),
        (lambda: IndependentBernoulli(4, 0.1, -1.0), "`zipf_exponent` must be at least 0 and finite, got -1.0."),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(make, sentence):
    with pytest.raises(ValueError, match="must") as refusal:
        make()
    assert str(refusal.value) == sentence


def test_an_unknown_magnitude_is_refused():
    # Where types are checked at run time, they refuse it first.
    with pytest.raises((ValueError, TypeError), match="magnitude"):
        KHot(4, 1, magnitude="two")


def test_an_impossible_grid_point_is_refused_before_any_draw():
    data = CooccurrenceDial(4, 0.3, 0.5)
    with pytest.raises(ValueError, match=r"^`probability` must be at most 1 / 4 where `dial` < 0"):
        data.bind(Ensemble(2, {"dial": [0.5, -0.5]}))


class Antipodal(InputDataModule):
    """A user's class: with probability p feature 0, else feature 1."""

    can_vary = ("p",)

    def __init__(self, p: float, batch_size: int = 64) -> None:
        self.p = p
        super().__init__(2, batch_size)

    def sample(self, keys):
        first = random.bernoulli(keys, self.knob("p"), self.batch_size, 1)
        return torch.cat([first, ~first], dim=-1).float()

    def cooccurrence(self):
        p = self.knob("p").squeeze(-1)
        return torch.diag_embed(torch.cat([p, 1 - p], dim=-1))


class WithAnotherMarginal(Antipodal):
    def cooccurrence(self):
        return torch.diag_embed(super().cooccurrence().diagonal(dim1=-2, dim2=-1).flip(-1))


class WithMeetings(Antipodal):
    def cooccurrence(self):
        return super().cooccurrence() + 0.1


class WithUnkeyedDraws(Antipodal):
    def sample(self, keys):
        return (torch.rand(*keys.values.shape, self.batch_size, 2) < 0.5).float()


class WithOneDrawForAll(Antipodal):
    def sample(self, keys):
        return super().sample(keys)[..., :1, :, :].expand(*keys.values.shape, -1, -1)


class WithDrawsOfTheFirstStep(Antipodal):
    def sample(self, keys):
        first = super().sample(keys)
        return first[:1].expand_as(first)


class WithDrawsByPosition(Antipodal):
    def sample(self, keys):
        return super().sample(keys).roll(1, dims=-3)


class WithADeafKnob(Antipodal):
    def knob(self, name):
        return torch.full_like(super().knob(name), self.p)


class WithDoubles(Antipodal):
    def sample(self, keys):
        return super().sample(keys).double()


class WithTooFewInputs(Antipodal):
    def sample(self, keys):
        return super().sample(keys)[..., 1:, :]


class WithNegatives(Antipodal):
    def sample(self, keys):
        return -super().sample(keys)


def check(make: Callable[[], InputDataModule]) -> None:
    check_data_module(make, vary={"p": [0.0, 0.3, 1.0]}, n_inputs=2**12)


def test_the_checker_accepts_a_user_s_class():
    check(lambda: Antipodal(0.3))


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (WithAnotherMarginal, r"^Pairs that `cooccurrence` calls impossible or certain must be so at \{'p': 0\.0\}\.$"),
        (WithMeetings, r"^Marginals must lie in \[0, 1\]\.$"),
        (WithUnkeyedDraws, r"same inputs\.$"),
        (WithOneDrawForAll, r"^`sample` must give the same bits on a slice of instances\.$"),
        (WithDrawsOfTheFirstStep, r"^`sample` must give a step the same bits beside any number of steps\.$"),
        (WithDrawsByPosition, r"^`sample` must give the same bits on a slice of instances\.$"),
        (WithADeafKnob, r"^The inputs must be those of the instance's own \{'p': 0\.0\}\.$"),
        (WithDoubles, r"^`sample` must give float32, got torch\.float64\.$"),
        (
            WithTooFewInputs,
            r"^`sample` must give the shape \(3, 4, 64, 2\) for 3 steps, got \(3, 4, 63, 2\)\.$",
        ),
        (WithNegatives, r"^Inputs must be finite and not negative\.$"),
    ],
)
def test_the_checker_says_what_a_broken_class_breaks(broken, sentence):
    with pytest.raises(AssertionError, match=sentence):
        check(lambda: broken(0.3))


def test_the_checker_sees_a_frequency_that_is_off():
    with pytest.raises(AssertionError, match=r"^P\([01] and [01] on\) must be 0\.[37], got \d+ of 4096 inputs\.$"):
        check_data_module(lambda: WithAnotherMarginal(0.3), n_inputs=2**12)
