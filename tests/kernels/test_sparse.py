import pytest
import torch

from polysemantic.kernels.matmul import Products
from polysemantic.kernels.native.avx512 import VectorProducts
from polysemantic.kernels.sparse import SparseInputs, sparse_pays
from polysemantic.model.objective import ClosedForm
from polysemantic.model.weights import Weights


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_products_that_skip_zeros_equal_dense_ones(share):
    W, y = torch.randn(3, 5, 4), torch.randn(3, 7, 4)
    # Of some steps the flags are looked at by eight, of others one by one.
    for n_steps in (8, 5):
        steps = (torch.rand(n_steps, 3, 7, 5) < share) * torch.rand(n_steps, 3, 7, 5)
        for x, sparse in zip(steps, SparseInputs.of_steps(steps), strict=True):
            assert torch.equal(sparse.x, x)
            torch.testing.assert_close(sparse.times(W, torch.empty(3, 7, 4)), x @ W)
            torch.testing.assert_close(sparse.transposed_times(y, torch.empty(3, 5, 4)), x.mT @ y)


def test_no_bit_of_a_product_depends_on_the_steps_and_instances_beside():
    steps = (torch.rand(3, 4, 16, 8) < 0.4) * torch.rand(3, 4, 16, 8)
    W = torch.randn(4, 8, 6)
    together = [sparse.times(W, torch.empty(4, 16, 6)) for sparse in SparseInputs.of_steps(steps)]
    (alone,) = SparseInputs.of_steps(steps[1:2, 2:])
    assert torch.equal(alone.times(W[2:], torch.empty(2, 16, 6)), together[1][2:])


@pytest.mark.parametrize("act", ["linear", "relu"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_sparse_gradient_and_loss_equal_the_dense_ones(act, tied):
    x = (torch.rand(3, 7, 4) < 0.3) * torch.rand(3, 7, 4)
    weights = Weights(torch.randn(3, 4, 9), None if tied else torch.randn(3, 4, 9))
    l1, found = torch.rand(3, 1, 1), []
    for inputs in (x, *SparseInputs.of_steps(x[None])):
        gradient = weights.map(torch.empty_like)
        loss = ClosedForm(act, l1)(inputs, weights, gradient, with_loss=True)
        found.append([loss, gradient.W_enc, gradient.decoder])
    torch.testing.assert_close(*found)


def test_few_active_features_of_wide_networks_are_sparse():
    up_to = Products.sparse_up_to
    assert sparse_pays(0.02, up_to, 1024)
    assert not sparse_pays(0.02, up_to, 128)
    assert not sparse_pays(0.5, up_to, 1024)
    assert VectorProducts.sparse_up_to < up_to
