from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats

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


def on(data: InputDataModule, step: int = 0) -> torch.Tensor:
    return data.inputs(step) > 0


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
