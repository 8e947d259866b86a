import math

import pytest
import torch

from polysemantic import functional as F
from tests import reference

SHAPES = [(1, 1, 1), (1, 1, 6), (2, 6, 1), (1, 8, 16), (3, 8, 5), (4, 12, 4)]


def normal(*shape, seed=0):
    return 0.6 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def planted(monosemantic, opposite, same, uncarried):
    """Neurons with one feature, two of opposite sign, two of the same sign; weak features; one dead neuron."""
    n, m = monosemantic + 2 * (opposite + same) + uncarried, monosemantic + opposite + same + 1
    w = torch.zeros(n, m)
    w[torch.arange(monosemantic), torch.arange(monosemantic)] = -1.0
    for pair in range(opposite + same):
        feature, neuron = monosemantic + 2 * pair, monosemantic + pair
        w[feature, neuron] = 0.9
        w[feature + 1, neuron] = -0.9 if pair < opposite else 0.9
    w[n - uncarried :, : m - 1] = 0.2
    return w


def listed(collisions):
    """Rows (instance, neuron, feature_i, feature_j, opposite_sign) as tuples."""
    return list(zip(*(values.tolist() for values in collisions), strict=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tied", [True, False])
def test_find_collisions_matches_loops_in_order(shape, tied):
    W_enc = normal(*shape)
    W_dec = W_enc if tied else normal(*shape, seed=1)
    expected = [
        (instance, *collision)
        for instance in range(shape[0])
        for collision in reference.collisions(W_enc[instance].tolist(), W_dec[instance].tolist())
    ]
    assert listed(F.find_collisions(W_enc, None if tied else W_dec)) == expected


def test_collisions_are_sorted_and_some_were_found():
    rows = listed(F.find_collisions(normal(3, 8, 5)))
    assert len(rows) > 10
    assert rows == sorted(rows)


@pytest.mark.parametrize("shape", [(8, 5), *SHAPES, (2, 3, 8, 5)])
@pytest.mark.parametrize("tied", [True, False])
def test_collision_counts_match_loops(shape, tied):
    W_enc = normal(*shape)
    W_dec = W_enc if tied else normal(*shape, seed=1)

    def count(W_enc, W_dec):
        signs = [opposite for *_, opposite in reference.collisions(W_enc, W_dec)]
        return [sum(signs), len(signs) - sum(signs)]

    expected = reference.per_instance(count, W_enc, W_dec)
    counts = F.collision_counts(W_enc, None if tied else W_dec)
    torch.testing.assert_close(torch.stack(counts, -1), expected)


@pytest.mark.parametrize("scale", [None, 1.0, 16.0])
def test_a_planted_network_gives_its_known_answers(scale):
    w = planted(monosemantic=5, opposite=3, same=2, uncarried=4)
    W_enc, W_dec = (w, None) if scale is None else (w / scale, w * scale)
    effective = F.effective_weight(W_enc, W_dec)

    counts = F.collision_counts(W_enc, W_dec)
    assert (counts.opposite_sign.item(), counts.same_sign.item()) == (3, 2)
    assert F.polysemantic_neurons(effective).item() == F.polysemantic_neurons_band(effective).item() == 5
    assert F.coverage(effective).item() == pytest.approx(15 / 19)
    assert F.carriers(effective).item() == 1
    assert listed(F.find_collisions(W_enc[None], None if W_dec is None else W_dec[None])) == [
        (0, 5, 5, 6, True),
        (0, 6, 7, 8, True),
        (0, 7, 9, 10, True),
        (0, 8, 11, 12, False),
        (0, 9, 13, 14, False),
    ]


def test_thresholds_on_the_encoder_alone_would_miss_a_shrunk_encoder():
    w = planted(monosemantic=0, opposite=1, same=1, uncarried=0)
    assert F.polysemantic_neurons(w / 16).item() == 0
    assert F.polysemantic_neurons(F.effective_weight(w / 16, w * 16)).item() == 2


def test_three_features_on_one_neuron_are_three_collisions():
    rows = listed(F.find_collisions(torch.tensor([[[1.0], [-1.0], [1.0]]])))
    assert rows == [(0, 0, 0, 1, True), (0, 0, 0, 2, False), (0, 0, 1, 2, True)]


@pytest.mark.parametrize("w", [torch.zeros(2, 3, 4), torch.eye(4)[None], torch.ones(2, 1, 5)])
def test_without_a_shared_neuron_there_are_no_collisions(w):
    assert all(len(values) == 0 for values in F.find_collisions(w))
    assert all(count.sum() == 0 for count in F.collision_counts(w))


def test_large_trained_networks_need_memory_for_their_collisions_only():
    w = torch.zeros(16, 256, 4096)
    w[:, :, :128] = torch.eye(128).repeat(2, 1)
    assert len(F.find_collisions(w).neuron) == 16 * 128


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (3, 8, 5), (2, 3, 12, 4)])
@pytest.mark.parametrize("tied", [True, False])
def test_threshold_sweep_matches_one_threshold_at_a_time(shape, tied):
    W_enc, W_dec = normal(*shape), None if tied else normal(*shape, seed=1)
    w = F.effective_weight(W_enc, W_dec)
    sweep = F.threshold_sweep(W_enc, W_dec, thresholds=(0.2, 0.5, 0.9))
    for at, threshold in enumerate((0.2, 0.5, 0.9)):
        torch.testing.assert_close(sweep.polysemantic_neurons[..., at], F.polysemantic_neurons(w, threshold))
        torch.testing.assert_close(sweep.coverage[..., at], F.coverage(w, threshold))


@pytest.mark.parametrize("threshold", [0.0, math.nan])
def test_swept_thresholds_must_be_positive(threshold):
    with pytest.raises(ValueError, match=rf"`thresholds` must be positive, got \(0\.5, {threshold}\)\."):
        F.threshold_sweep(torch.eye(2), thresholds=(0.5, threshold))
