import pytest
import torch

from polysemantic.kernels.matmul import Matmul, TorchMatmul
from polysemantic.kernels.sparse import SparseInputMatmul
from polysemantic.kernels.symmetric import SymmetricMatmul

KINDS = {
    "torch": TorchMatmul,
    "symmetric": SymmetricMatmul,
    "sparse inputs": lambda: SparseInputMatmul(TorchMatmul()),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("alpha", "beta"), [(1, 0), (0.5, 0), (1, 1), (3.0, 0.25)])
@pytest.mark.parametrize("shape", [(3, 5, 7, 2), (1, 1, 1, 1), (2, 40, 70, 40)])
def test_the_three_products_are_those_of_a_formula(kind, alpha, beta, shape):
    n_instances, rows, n, columns = shape
    kernel = KINDS[kind]()
    assert isinstance(kernel, Matmul)
    x, y = (torch.randn(*size, dtype=torch.float64) for size in ((n_instances, rows, n), (n_instances, n, columns)))
    for name, left, right in (("nn", x, y), ("tn", x.mT.contiguous(), y), ("nt", x, y.mT.contiguous())):
        start = torch.randn(n_instances, rows, columns, dtype=torch.float64)
        out = start.clone() if beta else torch.full_like(start, torch.nan)  # not read where beta is 0
        getattr(kernel, name)(left, right, out, alpha=alpha, beta=beta)
        torch.testing.assert_close(out, alpha * (x @ y) + beta * start)


@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_times_its_own_transpose_is_whole_and_symmetric(kind):
    W = torch.randn(3, 40, 70, dtype=torch.float64)
    out = torch.full((3, 40, 40), torch.nan, dtype=torch.float64)
    KINDS[kind]().nt(W, W, out)
    torch.testing.assert_close(out, W @ W.mT)
