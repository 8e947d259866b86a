import dataclasses
import itertools
import math

import pytest

from polysemantic import theory
from polysemantic.functional import hidden_excess_kurtosis_null
from polysemantic.results import predictions
from polysemantic.results.predictions import EXCESS, KURTOSIS, L1_NORM, PAIRS, PAPER, SLOTS, SPARSITY, expected_counts
from polysemantic.results.setups import Setup

COUNTS, LAWS = {PAPER, SLOTS}, {SPARSITY, L1_NORM}
EVERY = {*COUNTS, *LAWS, PAIRS, KURTOSIS, EXCESS}
PAPERS = Setup(n_features=10, n_hidden=12)


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({}, set()),
        ({"n_hidden": 5}, set()),
        ({"n_hidden": 4}, COUNTS | LAWS | {EXCESS}),
        ({"one_hot": False, "every_feature_once": False}, COUNTS | LAWS | {EXCESS}),
        ({"every_feature_once": False}, LAWS),
        ({"our_network": False}, COUNTS | LAWS | {EXCESS, KURTOSIS}),
        ({"tied": False}, COUNTS | LAWS),
        ({"bias": True}, COUNTS | LAWS),
        ({"act": "relu"}, COUNTS | LAWS | {EXCESS, KURTOSIS}),
        ({"importance": 0.9}, COUNTS | LAWS),
        ({"l1": 0.0}, COUNTS | LAWS | {EXCESS}),
        ({"l1": 1.5}, set()),
        ({"l1": 1.6}, COUNTS | LAWS),
        ({"noise_std": 0.1}, COUNTS | LAWS),
        ({"noise_std": 0.1, "l1": 0.0}, COUNTS | LAWS),
        ({"noise_std": 0.1, "l1": 0.0, "noise": "uniform"}, COUNTS | LAWS),
        ({"noise_std": 0.1, "l1": 0.0, "noise": "gaussian"}, COUNTS | LAWS | {EXCESS}),
        ({"noise_std": 0.1, "l1": 0.0, "noise": "laplace"}, COUNTS | LAWS | {EXCESS}),
        ({"init": "orthogonal"}, COUNTS | LAWS | {PAIRS}),
        ({"init": "init_from"}, COUNTS | LAWS | {PAIRS}),
        ({"learning_rate": None}, LAWS),
    ],
)
def test_a_prediction_holds_where_its_assumptions_do(changes, lost):
    setup = dataclasses.replace(PAPERS, **changes)
    assert {one.name for one in EVERY if not one.holds(setup)} == {one.name for one in lost}
    for one in EVERY - {EXCESS}:
        assert math.isnan(one.at(setup, 100)) == (one in lost)
    assert all(bool(one.unmet(setup)) == (one in lost) for one in EVERY)


def test_no_weight_grows_under_an_l1_penalty_beyond_the_bound():
    growth = max((1 - w * w) * w for w in (step / 1000 for step in range(1001)))
    assert PAPER.holds(dataclasses.replace(PAPERS, l1=4 * growth - 1e-3))
    assert not PAPER.holds(dataclasses.replace(PAPERS, l1=4 * growth + 1e-3))


def test_the_numbers_are_those_of_the_theory():
    n, m, step = 10, 12, 300
    setup = dataclasses.replace(PAPERS, learning_rate=0.5, l1=0.02)
    t, rate = theory.paper_time(0.5, step, n), theory.paper_lambda(0.02)
    expected = {
        PAPER: n**2 / (4 * m),
        SLOTS: theory.expected_polysemantic_neurons(n, m),
        PAIRS: theory.expected_opposite_sign_pairs(n, m),
        KURTOSIS: hidden_excess_kurtosis_null(m),
        SPARSITY: float(theory.sparsity_law(t, m, rate)),
        L1_NORM: float(theory.l1_norm_law(t, m, rate)),
    }
    assert {one: one.at(setup, step) for one in expected} == expected


def test_both_counts_assume_the_same():
    # Captions tell the two together.
    assert PAPER.conditions == SLOTS.conditions


def test_the_caption_says_what_is_missing_and_where():
    without, other = dataclasses.replace(PAPERS, l1=0.0), dataclasses.replace(PAPERS, one_hot=False)
    assert expected_counts([PAPERS, PAPERS]).startswith("theory: n²/4m = 2.083, n(n-1)/2(2m-1) = 1.957 ")
    assert "lacks" not in expected_counts([PAPERS])
    some = expected_counts([without, PAPERS, other])
    assert some.startswith("theory at 1 of 3 grid points: n²/4m = 2.083")
    assert some.endswith("elsewhere it lacks one-hot inputs (OneHot, magnitude one), 0 < L1 < 1.54")
    for nowhere in itertools.permutations([without, other]):
        assert expected_counts(nowhere) == "no theory: it assumes one-hot inputs (OneHot, magnitude one), 0 < L1 < 1.54"


def test_the_legend_tells_every_assumption():
    told = " ".join(predictions.LEGEND)
    for one in predictions.BY_SIZE:
        assert one.formula in told
        assert all(condition.words in told for condition in one.conditions)
