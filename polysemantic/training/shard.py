"""What each of several processes holds of a whole, and how the whole is put together again."""

from __future__ import annotations

import dataclasses
import itertools

import torch
import torch.distributed as dist
from torch import Tensor

_CPU = torch.device("cpu")


@dataclasses.dataclass(frozen=True)
class Shard:
    """The consecutive entries of a whole that one process holds; the first processes hold one more if need be.

    Args:
        length: Entries of the whole.
        rank: This process, counted from 0.
        ranks: Processes.
        device: Where the processes exchange tensors.

    Example:
        >>> [Shard(5, rank, 2).held for rank in range(2)]
        [slice(0, 3, None), slice(3, 5, None)]
    """

    length: int
    rank: int = 0
    ranks: int = 1
    device: torch.device = _CPU

    @property
    def slices(self) -> list[slice]:
        """What each process holds."""
        each, more = divmod(self.length, self.ranks)
        ends = itertools.accumulate((each + (rank < more) for rank in range(self.ranks)), initial=0)
        return [slice(start, stop) for start, stop in itertools.pairwise(ends)]

    @property
    def held(self) -> slice:
        """What this process holds."""
        return self.slices[self.rank]

    @property
    def size(self) -> int:
        """How many entries this process holds."""
        return int(self.held.stop - self.held.start)

    def gather(self, values: Tensor) -> Tensor:
        """The whole on every process, where the part was; all processes must call it."""
        if self.ranks == 1:
            return values
        sizes = [part.stop - part.start for part in self.slices]
        return torch.cat([self._from(rank, values, size) for rank, size in enumerate(sizes)]).to(values.device)

    def collect(self, values: Tensor) -> Tensor:
        """The whole on the first process and in its main memory, part by part; the others keep what they have.

        The parts may be of any length. All processes must call it.
        """
        if self.ranks == 1:
            return values
        sizes = torch.zeros(self.ranks, dtype=torch.int64, device=self.device)
        sizes[self.rank] = len(values)
        dist.all_reduce(sizes)
        parts = [self._to_first(rank, values, size) for rank, size in enumerate(sizes.tolist())]
        return torch.cat(parts) if self.rank == 0 else values

    def sum(self, tensors: list[Tensor]) -> None:
        """Add up tensors over processes, in place and in one all-reduce."""
        flat = tensors[0].flatten() if len(tensors) == 1 else torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        totals = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, total in zip(tensors, totals, strict=True):
            tensor.copy_(total.view_as(tensor))

    def _from(self, rank: int, values: Tensor, size: int) -> Tensor:
        content = self._bytes(values) if rank == self.rank else self._room(values, size)
        dist.broadcast(content, rank)
        return _restored(content, values, size)

    def _to_first(self, rank: int, values: Tensor, size: int) -> Tensor:
        if rank == 0 or self.rank not in (0, rank) or size == 0:
            return values.cpu() if rank == self.rank else values[:0].cpu()
        if self.rank == rank:
            dist.send(self._bytes(values), 0)
            return values
        content = self._room(values, size)
        dist.recv(content, rank)
        return _restored(content, values, size).cpu()

    def _bytes(self, values: Tensor) -> Tensor:
        # Not every backend moves every type of number, and a sum with zeros would turn -0 into 0.
        return values.detach().to(self.device).contiguous().flatten().view(torch.uint8)

    def _room(self, like: Tensor, size: int) -> Tensor:
        n_bytes = size * like[:1].element_size() * like.shape[1:].numel()
        return torch.empty(n_bytes, dtype=torch.uint8, device=self.device)


def _restored(content: Tensor, like: Tensor, size: int) -> Tensor:
    return content.view(like.dtype).view(size, *like.shape[1:])
