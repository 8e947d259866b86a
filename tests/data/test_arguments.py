from __future__ import annotations

import math

import pytest

from polysemantic.data import (
    CooccurrenceDial,
    GaussianCopula,
    HalfSplit,
    Hierarchical,
    IndependentBernoulli,
    KHot,
    PairMixture,
)
from polysemantic.model.ensemble import Ensemble


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
