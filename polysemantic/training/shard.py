"""The shard of a tensor that each of several processes holds, and the exchange of shards between them."""

from __future__ import annotations

import dataclasses
import itertools

import torch
import torch.distributed as dist
from torch import Tensor

_CPU = torch.device("cpu")


@dataclasses.dataclass(frozen=True)
class Shard:
    """The consecutive entries along one axis of a tensor that one process holds.

    Shards differ in size by one entry at most; those of the first processes are the larger ones.

    Args:
        length: Number of entries of the whole axis.
        rank: Rank of this process, counted from 0.
        ranks: Number of processes.
        device: Device on which the processes exchange tensors.

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
        """The entries that each process holds, in order of ranks."""
        each, more = divmod(self.length, self.ranks)
        ends = itertools.accumulate((each + (rank < more) for rank in range(self.ranks)), initial=0)
        return [slice(start, stop) for start, stop in itertools.pairwise(ends)]

    @property
    def held(self) -> slice:
        """The entries that this process holds."""
        return self.slices[self.rank]

    @property
    def size(self) -> int:
        """The number of entries that this process holds."""
        return int(self.held.stop - self.held.start)

    def gather(self, values: Tensor) -> Tensor:
        """The whole tensor on every process (all-gather), on the device of the shard.

        All processes must call it, each with its own shard.
        """
        if self.ranks == 1:
            return values
        sizes = [shard.stop - shard.start for shard in self.slices]
        return torch.cat([self._broadcast(rank, values, size) for rank, size in enumerate(sizes)]).to(values.device)

    def collect(self, values: Tensor) -> Tensor:
        """The tensors of all processes, one after another, on the first process and in its main memory (gather).

        The tensors may have any length. The other processes get their own tensor back. All processes must call it.
        """
        if self.ranks == 1:
            return values
        sizes = torch.zeros(self.ranks, dtype=torch.int64, device=self.device)
        sizes[self.rank] = len(values)
        dist.all_reduce(sizes)
        received = [self._to_first(rank, values, size) for rank, size in enumerate(sizes.tolist())]
        return torch.cat(received) if self.rank == 0 else values

    def average(self, tensors: list[Tensor]) -> None:
        """Turn means over this process's entries into means over all entries, in place and in one all-reduce."""
        for tensor in tensors:
            tensor *= self.size / self.length
        self.sum(tensors)

    def sum(self, tensors: list[Tensor]) -> None:
        """Add up tensors over processes, in place and in one all-reduce."""
        flat = tensors[0].flatten() if len(tensors) == 1 else torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        totals = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, total in zip(tensors, totals, strict=True):
            tensor.copy_(total.view_as(tensor))

    def _broadcast(self, rank: int, values: Tensor, size: int) -> Tensor:
        content = self._bytes(values) if rank == self.rank else self._buffer(values, size)
        dist.broadcast(content, rank)
        return _restored(content, values, size)

    def _to_first(self, rank: int, values: Tensor, size: int) -> Tensor:
        if rank == 0 or self.rank not in (0, rank) or size == 0:
            return values.cpu() if rank == self.rank else values[:0].cpu()
        if self.rank == rank:
            dist.send(self._bytes(values), 0)
            return values
        content = self._buffer(values, size)
        dist.recv(content, rank)
        return _restored(content, values, size).cpu()

    def _bytes(self, values: Tensor) -> Tensor:
        # Bytes, because not every backend exchanges every dtype, and an all-reduce with zeros would turn -0 into 0.
        return values.detach().to(self.device).contiguous().flatten().view(torch.uint8)

    def _buffer(self, like: Tensor, size: int) -> Tensor:
        n_bytes = size * like[:1].element_size() * like.shape[1:].numel()
        return torch.empty(n_bytes, dtype=torch.uint8, device=self.device)


def _restored(content: Tensor, like: Tensor, size: int) -> Tensor:
    return content.view(like.dtype).view(size, *like.shape[1:])
