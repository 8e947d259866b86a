from __future__ import annotations

import pytest

from polysemantic.data import IndependentBernoulli
from tests.support.inputs import on


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_certain_features_have_no_correlation(probability):
    data = IndependentBernoulli(3, probability)
    assert (on(data) == bool(probability)).all()
    assert data.phi().isnan().all()
    assert data.expected_companions().isnan().all() == (probability == 0)
