"""Memory that products and gradients need within a step, kept from one step to the next."""

from __future__ import annotations

import threading
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Workspace(Protocol):
    """Where the objective takes memory from."""

    def empty(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A tensor of this shape, with the type and device of another; nothing is said of what it holds.

        Args:
            name: What it is for. The memory is used again at the next call with this name.
            shape: Its shape.
            like: The other tensor.
        """

    def diagonals(self, square: Tensor) -> tuple[Tensor, Tensor]:
        """The diagonals of square matrices, as a view, and memory of the same size."""

    def share(self, values: Tensor, of: int) -> Tensor:
        """A tensor divided by a number; nobody may write into it."""


class KeptWorkspace(threading.local):
    """Memory kept by name; each thread has its own, so that threads can share the object."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}
        self._diagonals: tuple[Tensor, Tensor, Tensor] | None = None
        self._share: tuple[Tensor, int, int, Tensor] | None = None

    def empty(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """See `Workspace`."""
        kept = self._kept.get(name)
        if kept is None or kept.shape != shape or kept.device != like.device or kept.dtype != like.dtype:
            kept = self._kept[name] = torch.empty(shape, dtype=like.dtype, device=like.device)
        return kept

    def diagonals(self, square: Tensor) -> tuple[Tensor, Tensor]:
        """See `Workspace`. In small networks it takes as long to find the diagonals as to use them."""
        if self._diagonals is None or self._diagonals[0] is not square:
            found = square.diagonal(dim1=1, dim2=2)
            self._diagonals = square, found, torch.empty_like(found)
        return self._diagonals[1:]

    def share(self, values: Tensor, of: int) -> Tensor:
        """See `Workspace`. In small networks a division takes as long as a product."""
        kept = self._share
        if kept is None or kept[0] is not values or kept[1:3] != (of, values._version):
            kept = self._share = values, of, values._version, values / of
        return kept[3]

    def rows(self, name: str, like: Tensor) -> Tensor:
        """Memory for as many rows as another tensor has, cut from the largest that was asked for under this name."""
        kept = self._kept.get(name)
        if kept is None or len(kept) < len(like):
            kept = self._kept[name] = torch.empty_like(like)
        return kept[: len(like)]


class NoWorkspace:
    """Fresh memory at each call, for graphs whose compiler plans the memory itself."""

    def empty(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:  # noqa: ARG002 - nothing is kept
        """See `Workspace`."""
        return torch.empty(shape, dtype=like.dtype, device=like.device)

    def diagonals(self, square: Tensor) -> tuple[Tensor, Tensor]:
        """See `Workspace`."""
        found = square.diagonal(dim1=1, dim2=2)
        return found, torch.empty_like(found)

    def share(self, values: Tensor, of: int) -> Tensor:
        """See `Workspace`."""
        return values / of
