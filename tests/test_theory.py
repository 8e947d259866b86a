import itertools
import math

import numpy as np
import pytest
import torch

from polysemantic import theory
from tests import reference


def test_the_papers_curve_at_its_own_sizes():
    widths = [256, 512, 1024, 2048, 4096]
    assert [theory.polysemantic_neurons_paper(256, m) for m in widths] == [64, 32, 16, 8, 4]


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (2, 2), (3, 2), (4, 3)])
def test_expected_opposite_sign_pairs_are_the_mean_over_all_initialisations(n, m):
    slots = list(itertools.product(range(m), (1, -1)))
    pairs = [
        sum(a[0] == b[0] and a[1] != b[1] for a, b in itertools.combinations(taken, 2))
        for taken in itertools.product(slots, repeat=n)
    ]
    assert theory.expected_opposite_sign_pairs(n, m) == pytest.approx(reference.mean(pairs))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (2, 2), (3, 2), (4, 3), (6, 3)])
def test_expected_polysemantic_neurons_are_the_mean_over_all_choices_of_slots(n, m):
    slots = list(itertools.product(range(m), (1, -1)))
    shared = [n - len({neuron for neuron, _ in taken}) for taken in itertools.combinations(slots, n)]
    assert theory.expected_polysemantic_neurons(n, m) == pytest.approx(reference.mean(shared))


def test_more_features_than_slots_have_no_expectation():
    assert math.isnan(theory.expected_polysemantic_neurons(5, 2))
    assert math.isnan(theory.polysemantic_neurons_paper(5, 2))


@pytest.mark.parametrize(
    "curve",
    [theory.polysemantic_neurons_paper, theory.expected_opposite_sign_pairs, theory.expected_polysemantic_neurons],
)
def test_sizes_must_be_positive(curve):
    with pytest.raises(ValueError, match=r"`n_features` must be positive, got 0\."):
        curve(0, 4)
    with pytest.raises(ValueError, match=r"`n_hidden` must be positive, got 0\."):
        curve(4, 0)


def test_the_laws_run_from_all_neurons_to_one():
    t = np.array([0.0, 1e3, 1e9])
    assert theory.sparsity_law(t, 10_000, 1e-5) == pytest.approx([1e4, 2.5e3, 1])
    assert theory.l1_norm_law(t, 10_000, 1e-5) == pytest.approx([100, 50, 1])
    assert float(theory.sparsity_law(1e9, 10_000, 0.0)) == pytest.approx(10_000)


@pytest.mark.parametrize("law", [theory.sparsity_law, theory.l1_norm_law])
def test_an_l1_rate_must_not_be_negative(law):
    with pytest.raises(ValueError, match=r"`l1_rate` must be at least 0, got -0\.1\."):
        law(1.0, 4, -0.1)


def test_a_gradient_step_of_our_loss_is_an_euler_step_of_the_papers_flow():
    # Features on disjoint neurons do not meet: each follows the one-feature flow.
    n, l1, learning_rate = 3, 0.02, 0.05
    W = torch.block_diag(*(torch.tensor([0.3 + 0.1 * i, -0.2]) for i in range(n))).double().requires_grad_()
    h = torch.eye(n, dtype=torch.float64) @ W
    loss = ((h @ W.T).relu() - torch.eye(n)).square().sum(-1) + l1 * h.abs().sum(-1)
    loss.mean().backward()
    w = W.detach()
    flow = (1 - w.square().sum(-1, keepdim=True)) * w - theory.paper_lambda(l1) * w.sign()
    torch.testing.assert_close(-learning_rate * W.grad, theory.paper_time(learning_rate, 1, n) * flow)


def test_the_simulation_matches_loops_that_keep_signs_and_zeros():
    setting = {"n_hidden": 20, "l1_rate": 0.01, "step": 0.5, "steps": 60, "init_scale": 0.9, "seed": 3}
    path = theory.simulate_sparsification(**setting)
    weights = list(reference.sparsification(**setting))
    assert path.n_neurons[0] > 15
    assert path.n_neurons[-1] < 10
    for t, n_neurons, l1_norm in zip(*path, strict=True):
        w = weights[round(t / 0.5) - 1]
        assert n_neurons == reference.sparsity_count([w])
        assert l1_norm == pytest.approx(reference.l1_norm([w]))


def test_an_l1_rate_too_large_kills_every_weight():
    path = theory.simulate_sparsification(n_hidden=10, l1_rate=1.0, steps=50)
    assert path.n_neurons[-1] == path.l1_norm[-1] == 0


@pytest.mark.parametrize("name", ["n_hidden", "steps", "points"])
def test_a_simulation_needs_positive_sizes(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be positive, got 0\."):
        theory.simulate_sparsification(**{name: 0})


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_simulation_has_the_slopes_of_the_laws(seed):
    path = theory.simulate_sparsification(seed=seed)
    within = (path.t >= 1e3) & (path.t <= 3e4)
    t = np.log(path.t[within])
    for values, law in ((path.n_neurons, theory.sparsity_law), (path.l1_norm, theory.l1_norm_law)):
        predicted = law(path.t, 100_000, 1e-5)
        slope, slope_of_law = (np.polyfit(t, np.log(curve[within]), 1)[0] for curve in (values, predicted))
        assert slope == pytest.approx(slope_of_law, rel=0.1)
