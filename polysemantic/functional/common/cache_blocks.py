import torch
from jaxtyping import Shaped
from torch import Tensor

# Enough to drown the cost of a call on an accelerator, and nothing beside its memory.
_ON_ACCELERATORS = 2**25


def numbers_at_once(device: torch.device, on_cpu: int) -> int:
    """How many numbers to compute together on a device: on a CPU as many as given, which fit its cache.

    Example:
        >>> from polysemantic.functional import numbers_at_once
        >>> numbers_at_once(torch.device("cpu"), on_cpu=2**16)
        65536
    """
    return on_cpu if device.type == "cpu" else _ON_ACCELERATORS


def cache_blocks(n_instances: int, numbers_each: int, at_once: int) -> list[slice]:
    """Few instances at a time, so that what is computed of them stays small.

    Args:
        n_instances: Number of instances.
        numbers_each: How many numbers are computed of each.
        at_once: How many there should be at once at most; an instance with more is a block of its own.

    Returns:
        Consecutive instances; the last block may be shorter.

    Example:
        >>> from polysemantic.functional import cache_blocks
        >>> cache_blocks(5, numbers_each=100, at_once=250)
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    length = max(1, at_once // max(1, numbers_each))
    return [slice(start, min(start + length, n_instances)) for start in range(0, n_instances, length)]


def instance_blocks(values: Shaped[Tensor, "instance ..."], numbers_each: int, on_cpu: int) -> list[slice]:
    """The cache blocks of the instances of a tensor, on the device where it is.

    Args:
        values: The tensor.
        numbers_each: How many numbers are computed of each instance.
        on_cpu: How many there should be at once at most on a CPU (`numbers_at_once`).

    Returns:
        Consecutive instances; the last block may be shorter.

    Example:
        >>> from polysemantic.functional import instance_blocks
        >>> instance_blocks(torch.zeros(3, 8), numbers_each=100, on_cpu=250)
        [slice(0, 2, None), slice(2, 3, None)]
    """
    return cache_blocks(len(values), numbers_each, numbers_at_once(values.device, on_cpu))
