import pytest
import torch

from polysemantic.functional import (
    interference_sums,
    one_hot_pair_sums,
    pair_sums,
)


@pytest.fixture
def x():
    """Inputs with one half at random and exactly half of its features on."""
    chosen = torch.rand(1000, 16).argsort(dim=1) < 8
    first = torch.rand(1000, 1) < 0.5
    return torch.cat([chosen & first, chosen & ~first], dim=1).float()[None]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 2), (4, 5, 3)])
def test_sums_of_chosen_pairs_are_those_of_the_whole_matrix(shape):
    x = torch.rand(shape) * (torch.rand(shape) < 0.4)
    x_hat = torch.rand(shape)
    instance, i, j = (torch.randint(size, (20,)) for size in (shape[0], shape[2], shape[2]))
    for chosen, whole in zip(pair_sums(x, x_hat, instance, i, j), interference_sums(x, x_hat), strict=True):
        torch.testing.assert_close(chosen, whole[instance, i, j])


def test_sums_of_pairs_over_every_feature_once_need_no_products():
    x, x_hat = torch.eye(5).expand(3, 5, 5), torch.rand(3, 5, 5)
    pairs = torch.tensor([0, 2, 2]), torch.tensor([0, 1, 3]), torch.tensor([4, 2, 0])
    for fast, slow in zip(one_hot_pair_sums(x_hat, *pairs), pair_sums(x, x_hat, *pairs), strict=True):
        torch.testing.assert_close(fast, slow)
