from __future__ import annotations

import itertools
import math

import pytest

from polysemantic.data import Hierarchical
from tests.support.inputs import on


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("probability", [0.6, 1.0])
def test_children_are_on_only_under_their_parent_and_alone_if_exclusive(exclusive, probability):
    data = Hierarchical(26, probability, depth=3, branching=3, exclusive=exclusive)
    assert data.parents.tolist() == [-1] * 2 + [i // 3 for i in range(24)]
    active = on(data)
    for parent in range(8):
        children = active[..., data.parents == parent]
        assert not (children.any(-1) & ~active[..., parent]).any()
        if exclusive:
            assert children.sum(-1).max() == 1
        if probability == 1:
            assert (children.sum(-1) == active[..., parent] * (1 if exclusive else 3)).all()


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_cooccurrence_of_a_tree_is_the_product_along_its_paths(exclusive):
    data, p = Hierarchical(14, 0.6, depth=3, branching=2, exclusive=exclusive), 0.6
    parents = data.parents.tolist()

    def path(feature):
        return set() if feature == -1 else {feature} | path(parents[feature])

    for i, j in itertools.product(range(14), repeat=2):
        steps = path(i) | path(j)
        siblings = any(a != b and parents[a] == parents[b] != -1 for a, b in itertools.product(steps, repeat=2))
        expected = math.prod(p / 2 if exclusive and parents[step] != -1 else p for step in steps)
        assert data.cooccurrence()[0, i, j].item() == pytest.approx(0 if exclusive and siblings else expected)
