from __future__ import annotations

import pytest

from polysemantic.data import KHot
from tests.support.inputs import on


@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 1), (5, 2), (5, 4), (5, 5), (64, 31), (64, 33)])
def test_k_hot_has_exactly_k_features_on(n, k):
    data = KHot(n, k)
    assert (on(data).sum(-1) == k).all()
    if n > 1:
        assert data.expected_companions().flatten().tolist() == pytest.approx([k - 1] * n)
    if 1 <= k < n:
        assert data.phi()[0, 0, 1].item() == pytest.approx(-1 / (n - 1))
