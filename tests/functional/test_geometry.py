import math

import pytest
import torch

from polysemantic import functional as F
from tests import reference

SHAPES = [(1, 1), (1, 6), (6, 1), (1, 8, 16), (3, 8, 5), (2, 3, 12, 4)]


def normal(*shape, seed=0):
    return 0.6 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "name", ["features_per_neuron", "min_angle", "share_angles_below_90", "feature_dimensionality"]
)
def test_measures_of_one_matrix_match_loops(name, shape):
    w = normal(*shape)
    expected = reference.per_instance(getattr(reference, name), w)
    torch.testing.assert_close(getattr(F, name)(w), expected, equal_nan=True, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["participation_ratio", "interference"])
def test_measures_of_two_matrices_match_loops_tied_and_untied(name, shape):
    W_enc, W_dec = normal(*shape), normal(*shape, seed=1)
    for given, decoder in ((None, W_enc), (W_dec, W_dec)):
        expected = reference.per_instance(getattr(reference, name), W_enc, decoder)
        torch.testing.assert_close(getattr(F, name)(W_enc, given), expected, equal_nan=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_weighted_interference_matches_loops_and_shares_a_cooccurrence(shape):
    W_enc, W_dec = normal(*shape), normal(*shape, seed=1)
    cooccurrence = normal(shape[-2], shape[-2], seed=2).abs()
    each = cooccurrence.expand(*shape[:-2], -1, -1)
    expected = reference.per_instance(reference.weighted_interference, W_enc, W_dec, each)
    torch.testing.assert_close(F.weighted_interference(W_enc, W_dec, each), expected, equal_nan=True)
    torch.testing.assert_close(F.weighted_interference(W_enc, W_dec, cooccurrence), expected, equal_nan=True)


def test_interference_of_features_that_never_meet_is_undefined():
    assert math.isnan(F.weighted_interference(torch.eye(3), None, torch.eye(3)).item())


def test_interference_of_features_that_meet_is_told_from_the_others():
    W = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    meet, others = torch.zeros(3, 3), torch.zeros(3, 3)
    meet[0, 1] = meet[1, 0] = 0.1
    others[0, 2] = others[2, 0] = 0.1
    assert F.weighted_interference(W, None, meet).item() == 1
    assert F.weighted_interference(W, None, others).item() == 0


def test_participation_ratio_is_1_on_single_neurons_and_n_hidden_when_spread():
    assert F.participation_ratio(torch.eye(4)).item() == 1
    assert F.participation_ratio(torch.full((3, 4), 0.5)).item() == 4
    assert math.isnan(F.participation_ratio(torch.zeros(3, 4)).item())


def test_participation_ratio_does_not_depend_on_the_split_of_scales():
    W = normal(2, 8, 16)
    torch.testing.assert_close(F.participation_ratio(W / 8, W * 8), F.participation_ratio(W))


def test_features_per_neuron_leaves_out_dead_neurons_that_jitter():
    w = torch.cat([torch.eye(4), 1e-3 * torch.ones(4, 8)], 1)
    assert F.features_per_neuron(w).item() == 1
    assert F.features_per_neuron(w, tolerance=0.0).item() == pytest.approx((4 + 8 * 4) / 12)
    assert math.isnan(F.features_per_neuron(torch.zeros(3, 4)).item())


@pytest.mark.parametrize(
    ("W", "smallest", "share"),
    [
        (torch.eye(3), 90, 0),
        (torch.tensor([[1.0, 0.0], [-2.0, 0.0]]), 180, 0),
        (torch.tensor([[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]]), 0, 1),
        (torch.tensor([[1.0, 0.0], [math.sin(math.radians(0.5)), math.cos(math.radians(0.5))]]), 89.5, 0),
    ],
)
def test_angles_of_known_networks(W, smallest, share):
    assert F.min_angle(W).item() == pytest.approx(smallest, abs=1e-4)
    assert F.share_angles_below_90(W).item() == share


@pytest.mark.parametrize("W", [torch.ones(1, 3), torch.zeros(4, 3), torch.eye(3) * torch.tensor([1.0, 0.0, 0.0])])
def test_angles_need_two_rows_with_a_direction(W):
    assert math.isnan(F.min_angle(W).item())
    assert math.isnan(F.share_angles_below_90(W).item())


def test_feature_dimensionalities_add_up_to_the_rank_of_a_tight_frame():
    angle = 2 * math.pi / 5 * torch.arange(5, dtype=torch.float64)
    D = F.feature_dimensionality(torch.stack([angle.cos(), angle.sin()], -1))
    torch.testing.assert_close(D, torch.full((5,), 2 / 5, dtype=torch.float64))


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, math.nan])
@pytest.mark.parametrize("measure", [F.features_per_neuron, F.sparsity_count])
def test_a_relative_tolerance_must_lie_below_1(measure, tolerance):
    with pytest.raises(ValueError, match=rf"`tolerance` must lie in \[0, 1\), got {tolerance}\."):
        measure(torch.eye(2), tolerance=tolerance)


@pytest.mark.parametrize("tolerance", [-1.0, 90.0])
def test_a_tolerance_in_degrees_must_lie_below_90(tolerance):
    with pytest.raises(ValueError, match=rf"`tolerance` must lie in \[0, 90\), got {tolerance}\."):
        F.share_angles_below_90(torch.eye(2), tolerance=tolerance)
