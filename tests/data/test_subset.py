from __future__ import annotations

import itertools

import pytest
import torch
from scipy import stats

from polysemantic import random
from polysemantic.data.subset import uniform_subset


@pytest.mark.parametrize("counts", [[2], [3], [1, 2, 3, 4]])
def test_every_subset_of_a_size_is_equally_likely(counts):
    keys = random.make_keys(0, "data", torch.arange(len(counts)))
    chosen = uniform_subset(keys, 5, counts, 20_000)
    code = (chosen.long() * 2 ** torch.arange(5)).sum(-1)
    for instance, count in enumerate(counts):
        possible = [sum(2**i for i in subset) for subset in itertools.combinations(range(5), count)]
        seen = torch.bincount(code[instance], minlength=32)[possible]
        assert seen.sum() == 20_000
        assert stats.chisquare(seen.numpy()).pvalue > 1e-6


def test_a_subset_does_not_depend_on_larger_ones_beside_it():
    keys = random.make_keys(0, "data", torch.tensor([0, 0, 0]))
    together = uniform_subset(keys, 9, [2, 4, 7], 50)
    for instance, count in enumerate([2, 4, 7]):
        alone = uniform_subset(random.make_keys(0, "data", torch.tensor([0])), 9, [count], 50)
        assert torch.equal(alone[0], together[instance])
