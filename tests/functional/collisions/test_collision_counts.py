import functools

import pytest
import torch

from polysemantic import functional as F
from tests import reference
from tests.support import weights

SHAPES = [(1, 1, 1), (1, 1, 6), (2, 6, 1), (1, 8, 16), (3, 8, 5), (4, 12, 4)]


normal = functools.partial(weights.normal, dtype=torch.float32)


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


@pytest.mark.parametrize("w", [torch.zeros(2, 3, 4), torch.eye(4)[None], torch.ones(2, 1, 5)])
def test_without_a_shared_neuron_there_are_no_collisions(w):
    assert all(len(values) == 0 for values in F.find_collisions(w))
    assert all(count.sum() == 0 for count in F.collision_counts(w))
