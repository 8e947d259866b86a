from __future__ import annotations

import pytest

from polysemantic.data import HalfSplit, OneHot
from tests.support.inputs import on


@pytest.mark.parametrize(("n_parts", "active_fraction"), [(2, 0.5), (2, 1.0), (3, 0.25), (6, 0.5)])
def test_half_split_has_the_exact_fraction_of_one_part_on(n_parts, active_fraction):
    in_part = on(HalfSplit(24, n_parts, active_fraction)).unflatten(-1, (n_parts, -1)).sum(-1)
    assert (in_part.amax(-1) == active_fraction * 24 / n_parts).all()
    assert ((in_part > 0).sum(-1) == 1).all()


def test_half_split_accepts_a_whole_count_that_is_not_whole_in_floating_point():
    assert (on(HalfSplit(2 * 49, active_fraction=3 * (1 / 49))).sum(-1) == 3).all()


def test_only_two_parts_are_a_partition_with_signs():
    assert HalfSplit(4, active_fraction=1.0).partition.tolist() == [1, 1, -1, -1]
    assert HalfSplit(6, n_parts=3, active_fraction=1.0).partition is None
    assert OneHot(4).partition is None
