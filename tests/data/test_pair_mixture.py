from __future__ import annotations

import pytest

from polysemantic.data import PairMixture
from tests.support.inputs import on


@pytest.mark.parametrize("pair_probability", [0.0, 1.0])
def test_pair_mixture_has_one_feature_on_or_two(pair_probability):
    assert (on(PairMixture(5, pair_probability)).sum(-1) == 1 + pair_probability).all()
