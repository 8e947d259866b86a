import pytest
import torch

from polysemantic.objective import ClosedForm, Weights
from polysemantic.sparse import SparseInputs, sparse_pays


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_products_that_skip_zeros_equal_dense_ones(share):
    x = (torch.rand(3, 7, 5) < share) * torch.rand(3, 7, 5)
    W, y = torch.randn(3, 5, 4), torch.randn(3, 7, 4)
    sparse = SparseInputs(x)
    torch.testing.assert_close(sparse.times(W, torch.empty(3, 7, 4)), x @ W)
    torch.testing.assert_close(sparse.transposed_times(y, torch.empty(3, 5, 4)), x.mT @ y)


@pytest.mark.parametrize("shape", [(2, 16, 8), (3, 7, 5)], ids=["by words", "one by one"])
def test_what_is_on_is_found_and_each_instance_scaled_by_its_own_number(shape):
    x = (torch.rand(shape) < 0.2) * torch.rand(shape)
    y, scale = torch.randn(*shape[:2], 4), torch.rand(shape[0], 1, 1)
    out = torch.empty(shape[0], shape[2], 4)
    torch.testing.assert_close(SparseInputs(x).transposed_times(y, out, scale), (scale * x).mT @ y)


@pytest.mark.parametrize("act", ["linear", "relu"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_sparse_gradient_and_loss_equal_the_dense_ones(act, tied):
    x = (torch.rand(3, 7, 4) < 0.3) * torch.rand(3, 7, 4)
    weights = Weights(torch.randn(3, 4, 9), None if tied else torch.randn(3, 4, 9))
    l1, found = torch.rand(3, 1, 1), []
    for sparse in (False, True):
        gradient = weights.map(torch.empty_like)
        loss = ClosedForm(act, l1, sparse=sparse)(x, weights, gradient, with_loss=True)
        found.append([loss, gradient.W_enc, gradient.decoder])
    torch.testing.assert_close(*found)


def test_few_active_features_of_wide_networks_are_sparse():
    assert sparse_pays(0.02, 1024)
    assert not sparse_pays(0.02, 128)
    assert not sparse_pays(0.5, 1024)
