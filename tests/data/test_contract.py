from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polysemantic import data as distributions
from polysemantic.data import (
    CooccurrenceDial,
    GaussianCopula,
    HalfSplit,
    Hierarchical,
    IndependentBernoulli,
    KHot,
    OneHot,
    PairMixture,
)
from polysemantic.data.testing import check_data_module
from polysemantic.model.ensemble import Ensemble

MAGNITUDE = st.sampled_from(["one", "uniform"])


BATCH = st.sampled_from([1, 3, 64])


PROBABILITY = st.sampled_from([0.0, 1.0, 0.03]) | st.floats(0, 1)


def several(values):
    return st.lists(values, min_size=1, max_size=2, unique=True)


@st.composite
def groups(draw, most=4):
    """A number of features, and the size of the groups that it consists of."""
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
    n, size = draw(groups())
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
    n, size = draw(groups())
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


@pytest.mark.parametrize("kind", SPACES, ids=lambda kind: kind.__name__)
@settings(derandomize=True, deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
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
