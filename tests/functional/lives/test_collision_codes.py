import pytest
import torch

from polysemantic.functional import decode_collisions, live_collisions


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 1), (2, 1, 3), (3, 6, 5)])
def test_live_collisions_match_loops_and_decode_inverts_them(shape, probability):
    n_instances, n_features, n_hidden = shape
    on = torch.rand(shape) < probability
    expected = [
        [a, k, i, j]
        for a in range(n_instances)
        for k in range(n_hidden)
        for i in range(n_features)
        for j in range(i + 1, n_features)
        if on[a, i, k] and on[a, j, k]
    ]
    codes = live_collisions(on)
    assert (codes.diff() > 0).all()
    assert torch.stack(decode_collisions(codes, n_features, n_hidden), dim=-1).tolist() == expected


def test_codes_of_large_ensembles_fit():
    on = torch.zeros(3000, 300, 4, dtype=torch.bool)
    on[-1, -2:, -1] = True
    assert [index.item() for index in decode_collisions(live_collisions(on), 300, 4)] == [2999, 3, 298, 299]
