import pytest
import torch

from polysemantic.kernels.matmul import TorchMatmul
from polysemantic.kernels.native.avx512 import Avx512Matmul
from polysemantic.kernels.problem import Problem
from polysemantic.kernels.sparse import SparseInputMatmul, SparseInputs, skipping_zeros_pays
from polysemantic.model.objective import ClosedForm, Factors
from polysemantic.model.weights import Weights


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_products_that_skip_zeros_equal_dense_ones(share):
    W, y = torch.randn(3, 5, 4), torch.randn(3, 7, 4)
    # Of some steps the flags are looked at by eight, of others one by one.
    for n_steps in (8, 5):
        steps = (torch.rand(n_steps, 3, 7, 5) < share) * torch.rand(n_steps, 3, 7, 5)
        for x, sparse in zip(steps, SparseInputs.of_steps(steps), strict=True):
            assert torch.equal(sparse.x, x)
            torch.testing.assert_close(sparse.nn(W, torch.empty(3, 7, 4)), x @ W)
            torch.testing.assert_close(sparse.tn(y, torch.empty(3, 5, 4)), x.mT @ y)


def test_no_bit_of_a_product_depends_on_the_steps_and_instances_beside():
    steps = (torch.rand(3, 4, 16, 8) < 0.4) * torch.rand(3, 4, 16, 8)
    W = torch.randn(4, 8, 6)
    together = [sparse.nn(W, torch.empty(4, 16, 6)) for sparse in SparseInputs.of_steps(steps)]
    (alone,) = SparseInputs.of_steps(steps[1:2, 2:])
    assert torch.equal(alone.nn(W[2:], torch.empty(2, 16, 6)), together[1][2:])


@pytest.mark.parametrize("act", ["linear", "relu"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_sparse_gradient_and_loss_equal_the_dense_ones(act, tied):
    x = (torch.rand(3, 7, 4) < 0.3) * torch.rand(3, 7, 4)
    weights = Weights(torch.randn(3, 4, 9), None if tied else torch.randn(3, 4, 9))
    factors, found = Factors(torch.rand(3, 1, 1)), []
    sparse = SparseInputMatmul(TorchMatmul())
    (batch,) = map(sparse.use, SparseInputs.of_steps(x[None]))
    for inputs, matmul in ((x, TorchMatmul()), (batch, sparse)):
        gradient = weights.map(torch.empty_like)
        loss = ClosedForm(act, factors, matmul)(inputs, weights, gradient, with_loss=True)
        found.append([loss, gradient.W_enc, gradient.decoder])
    torch.testing.assert_close(*found)


def test_only_products_with_the_batch_at_hand_skip_zeros():
    """The batch is known by its tensor: another one with the same numbers is multiplied as it stands."""

    class Refusing(TorchMatmul):
        def nn(self, x, y, out, *, alpha=1, beta=0):
            raise AssertionError

    sparse = SparseInputMatmul(Refusing())
    x, W, out = torch.eye(3)[None], torch.randn(1, 3, 2), torch.empty(1, 3, 2)
    (batch,) = map(sparse.use, SparseInputs.of_steps(x[None]))
    sparse.nn(batch, W, out)
    assert torch.equal(out, W)
    for other, options in ((x.clone(), {}), (batch, {"alpha": 2.0}), (batch, {"beta": 1.0})):
        with pytest.raises(AssertionError):
            sparse.nn(other, W, out, **options)


@pytest.mark.parametrize(
    ("density", "n_hidden", "batch", "device", "expected"),
    [
        (0.02, 1024, 64, "cpu", True),
        (0.02, 128, 64, "cpu", False),
        (0.5, 1024, 64, "cpu", False),
        (0.02, 1024, None, "cpu", False),
        (0.02, 1024, 64, "cuda", False),
    ],
)
def test_few_active_features_of_wide_networks_are_sparse(density, n_hidden, batch, device, expected):
    problem = Problem(2, 64, n_hidden, batch, density=density, device=device)
    assert skipping_zeros_pays(problem, TorchMatmul.sparse_up_to) == expected
    assert Avx512Matmul.sparse_up_to < TorchMatmul.sparse_up_to
