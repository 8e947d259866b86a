import functools

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support import weights

SHAPES = [(1, 1, 1), (1, 1, 6), (2, 6, 1), (1, 8, 16), (3, 8, 5), (4, 12, 4)]


normal = functools.partial(weights.normal, dtype=torch.float32)


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


def test_three_features_on_one_neuron_are_three_collisions():
    rows = listed(F.find_collisions(torch.tensor([[[1.0], [-1.0], [1.0]]])))
    assert rows == [(0, 0, 0, 1, True), (0, 0, 0, 2, False), (0, 0, 1, 2, True)]


def test_large_trained_networks_need_memory_for_their_collisions_only():
    w = torch.zeros(16, 256, 4096)
    w[:, :, :128] = torch.eye(128).repeat(2, 1)
    assert len(F.find_collisions(w).neuron) == 16 * 128
