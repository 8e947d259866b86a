"""Products of batched matrices: what a kernel must give, and torch's own."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from polysemantic.kernels.problem import Problem


@runtime_checkable
class Matmul(Protocol):
    """Three products of batched matrices, each written to `out`, which is not read where beta is 0."""

    name: ClassVar[str]

    @classmethod
    def supports(cls, problem: Problem) -> bool:
        """Whether a problem's products have a shape, precision and processor for this kernel, and are large enough."""

    def nn(self, x: Tensor, y: Tensor, out: Tensor, *, alpha: float = 1, beta: float = 0) -> None:
        """Alpha x y + beta out."""

    def tn(self, x: Tensor, y: Tensor, out: Tensor, *, alpha: float = 1, beta: float = 0) -> None:
        """Alpha x^T y + beta out."""

    def nt(self, x: Tensor, y: Tensor, out: Tensor, *, alpha: float = 1, beta: float = 0) -> None:
        """Alpha x y^T + beta out; x may be y itself."""


class TorchMatmul:
    """Products by torch's own library, for every shape, precision and device."""

    name: ClassVar[str] = "torch"
    sparse_up_to: ClassVar[float] = 0.1
    """Share of features that are on up to which it is quicker to skip the others (benchmarks/README.md)."""
    pays_by_thread: ClassVar[bool] = False
    """Whether it is so much quicker in one thread that small networks gain by a thread for each few of them."""

    @classmethod
    def supports(cls, problem: Problem) -> bool:  # noqa: ARG003 - it takes every problem
        """Whether a problem's products are for this kernel."""
        return True

    @classmethod
    def can_be_built(cls) -> bool:
        """Whether this machine has what it is made with; says so in a warning if it has not."""
        return True

    def nn(
        self,
        x: Float[Tensor, "instance row n"],
        y: Float[Tensor, "instance n column"],
        out: Float[Tensor, "instance row column"],
        *,
        alpha: float = 1,
        beta: float = 0,
    ) -> None:
        """Alpha x y + beta out."""
        _add(x, y, out, alpha, beta)

    def tn(
        self,
        x: Float[Tensor, "instance n row"],
        y: Float[Tensor, "instance n column"],
        out: Float[Tensor, "instance row column"],
        *,
        alpha: float = 1,
        beta: float = 0,
    ) -> None:
        """Alpha x^T y + beta out."""
        _add(x.mT, y, out, alpha, beta)

    def nt(
        self,
        x: Float[Tensor, "instance row n"],
        y: Float[Tensor, "instance column n"],
        out: Float[Tensor, "instance row column"],
        *,
        alpha: float = 1,
        beta: float = 0,
    ) -> None:
        """Alpha x y^T + beta out; x may be y itself."""
        _add(x, y.mT, out, alpha, beta)


def _add(x: Tensor, y: Tensor, out: Tensor, alpha: float, beta: float) -> None:
    if beta == 0 and alpha == 1:
        torch.bmm(x, y, out=out)
    else:
        out.baddbmm_(x, y, beta=beta, alpha=alpha)
