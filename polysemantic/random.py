"""Keyed random draws: every number is a function of a key and its own index, and of nothing else.

A draw never depends on a generator's past, on the number of instances beside it, on the process or on the device:
the bits come from splitmix64 in integer arithmetic, which every device does exactly (Steele, Lea and Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

from polysemantic.kernels.native.extension import compiled

Stream = Literal["init", "data", "noise", "evaluation"]
NoiseLaw = Literal["bernoulli", "uniform", "gaussian", "laplace"]

_GOLDEN = -7046029254386353131
_FIRST = -4658895280553007687
_SECOND = -7723592293110705685
_ODD_32 = 2**31 - 1
# Words that a CPU's cache holds while a dozen operations pass over them.
_WORDS_AT_ONCE = {"cpu": 2**16}
# Words up to which the time of a pass is that of its calls, of which numpy's are quicker.
_FEW_WORDS = 2**10
# Words from which on a kernel of our own is worth its compiling, and how many threads of torch it is as quick as,
# without and with registers of 512 bits.
_MANY_WORDS, _THREADS = 2**15, (4, 20)
# Limits that events are compared with at a time.
_ROW = 512


def _xor_shift(z: Tensor, shift: int, scratch: Tensor) -> Tensor:
    # torch shifts int64 arithmetically: the mask drops the copies of the sign bit.
    torch.bitwise_right_shift(z, shift, out=scratch)
    return z.bitwise_xor_(scratch.bitwise_and_((1 << (64 - shift)) - 1))


def _mix(z: Tensor) -> Tensor:
    """The splitmix64 finaliser, in place."""
    if z.device.type == "cpu" and z.numel() <= _FEW_WORDS and not torch.compiler.is_compiling():
        few = z.numpy().view(np.uint64)
        few ^= few >> 30
        few *= _FIRST % 2**64
        few ^= few >> 27
        few *= _SECOND % 2**64
        few ^= few >> 31
        return z
    flat = z.view(-1)
    at_once = min(len(flat), _WORDS_AT_ONCE.get(z.device.type, len(flat)))
    whole = torch.empty(at_once, dtype=z.dtype, device=z.device)
    for part in torch.split(flat, max(1, at_once)):
        scratch = whole[: len(part)]
        _xor_shift(part, 30, scratch).mul_(_FIRST)
        _xor_shift(part, 27, scratch).mul_(_SECOND)
        _xor_shift(part, 31, scratch)
    return z


@dataclasses.dataclass(frozen=True)
class Keys:
    """One 64-bit key for each optimiser step and seed, and which seed each instance draws from.

    Grid points of an ensemble share their seeds' draws (common random numbers): a draw is made once for each distinct
    seed and then handed to its instances.

    Args:
        values: Keys, shape (*step, seed).
        index: For each instance the position of its seed in `values`; None if instances and seeds are the same list.
    """

    values: Int64[Tensor, "*step seed"]
    index: Int64[Tensor, " instance"] | None = None

    def fold(self, purpose: int) -> Keys:
        """Keys for another independent draw of the same step: one for each `purpose`."""
        return dataclasses.replace(self, values=_mix(self.values ^ _mix(torch.full_like(self.values, purpose + 1))))

    def at(self, steps: range) -> Keys:
        """Keys of some optimiser steps, (step, seed), from those of a stream."""
        at = torch.arange(steps.start, steps.stop, steps.step, device=self.values.device)
        return dataclasses.replace(self, values=_mix(self.values ^ _mix(at * _GOLDEN + _SECOND).unsqueeze(-1)))

    def to_instances(self, draws: Tensor) -> Tensor:
        """Hand the draws of each seed, (*step, seed, ...), to its instances: (*step, instance, ...)."""
        return draws if self.index is None else draws.index_select(self.values.ndim - 1, self.index)

    def __getitem__(self, step: int | slice) -> Keys:
        """The keys of one step, or of some."""
        return dataclasses.replace(self, values=self.values[step])


def make_keys(seed: int, stream: Stream, seed_index: Int64[Tensor, " instance"], steps: range | None = None) -> Keys:
    """Keys of a stream for each step and instance.

    Args:
        seed: The run's `seed_everything`.
        stream: What the draws are for: init, data, noise or evaluation.
        seed_index: The seed of each instance; equal ones share their draws.
        steps: Optimiser steps; None gives those of the whole stream, without a step axis.
    """
    distinct, inverse = torch.unique(seed_index, return_inverse=True)
    index = None if torch.equal(distinct, seed_index) else inverse
    root = torch.tensor([seed, get_args(Stream).index(stream)], device=seed_index.device)
    root = _mix(_mix(root[:1] + _GOLDEN) + root[1:] * _GOLDEN)
    keys = Keys(_mix(root ^ _mix(distinct * _GOLDEN + _FIRST)), index)
    return keys if steps is None else keys.at(steps)


def _words(keys: Keys, count: int) -> Int64[Tensor, "*step seed word"]:
    """The first `count` 64-bit words that belong to each key."""
    if kernel := _kernel(keys.values, count):
        made, values = keys.values.new_empty(*keys.values.shape, count), keys.values.contiguous()
        kernel.words(values.data_ptr(), values.numel(), count, made.data_ptr())
        return made
    counter = torch.arange(1, count + 1, device=keys.values.device).mul_(_GOLDEN)
    return _mix(keys.values.unsqueeze(-1) + counter)


def _kernel(values: Tensor, count: int) -> ctypes.CDLL | None:
    """The same in one pass, if there are many words, here and now, and fewer threads than it is quicker than."""
    if values.device.type != "cpu" or values.numel() * count < _MANY_WORDS or torch.compiler.is_compiling():
        return None
    wide = torch.cpu._is_avx512_supported()
    if torch.get_num_threads() > _THREADS[wide]:
        return None
    library = compiled("splitmix64.cpp", ("avx512f", "avx512dq") if wide else ())
    if library is not None:
        keys: list[Any] = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long]
        library.words.argtypes = [*keys, ctypes.c_void_p]
        library.events.argtypes = [*keys, ctypes.c_void_p, ctypes.c_long, ctypes.c_long, ctypes.c_void_p]
    return library


def _integers(keys: Keys, shape: tuple[int, ...]) -> Tensor:
    """32 random bits for each element, as int32, shape (*step, seed, *shape)."""
    size = math.prod(shape)
    halves = _words(keys, (size + 1) // 2).view(torch.int32)
    return halves[..., :size].reshape(*keys.values.shape, *shape)


def uniform(keys: Keys, *shape: int) -> Float[Tensor, "..."]:
    """Draws from U[0, 1), multiples of 2^-24, shape (*step, instance, *shape).

    Example:
        >>> keys = make_keys(0, "data", torch.tensor([0, 1, 0]))
        >>> draws = uniform(keys, 4)
        >>> draws.shape, bool((draws[0] == draws[2]).all()), bool((draws[0] == draws[1]).any())
        (torch.Size([3, 4]), True, False)
    """
    return keys.to_instances(_integers(keys, shape).bitwise_and_(2**24 - 1).float().mul_(2.0**-24))


def bernoulli(keys: Keys, probability: float | Float[Tensor, "..."], *shape: int) -> Bool[Tensor, "..."]:
    """True with the given probability (to 2^-31; 0 is never and 1 always), shape (*step, instance, *shape).

    Args:
        keys: Keys; instances of one seed share the underlying uniform draw, so a larger probability only adds events.
        probability: A number, or a tensor that broadcasts against (instance, *shape).
        shape: The shape of one instance's draw.
    """
    limit = torch.as_tensor(probability, dtype=torch.float64, device=keys.values.device).mul(2.0**31).round().long() - 1
    if (on := _events(keys, limit.to(torch.int32), shape)) is not None:
        return on
    return _at_most(keys.to_instances(_integers(keys, shape).bitwise_and_(_ODD_32)), limit.to(torch.int32))


def _events(keys: Keys, limit: Int32[Tensor, "..."], shape: tuple[int, ...]) -> Bool[Tensor, "..."] | None:
    """The same in one pass, where there is a kernel, for limits that differ along the first and the last axis alone."""
    n_instances = keys.values.shape[-1] if keys.index is None else len(keys.index)
    missing = 1 + len(shape) - limit.ndim
    if missing < 0 or not shape:
        return None
    limit = limit.reshape([1] * missing + [*limit.shape])
    rows, *between, columns = limit.shape
    fits = rows in {1, n_instances} and columns in {1, shape[-1]} and set(between) <= {1}
    kernel = _kernel(keys.values, math.prod(shape)) if fits else None
    if kernel is None:
        return None
    values = keys.to_instances(keys.values).contiguous()
    # Rows long enough to be compared many at a time.
    limits = limit.flatten(1).repeat(1, -(-_ROW // columns))
    on = torch.empty(*values.shape, *shape, dtype=torch.bool)
    sizes = values.numel(), math.prod(shape)
    kernel.events(values.data_ptr(), *sizes, limits.data_ptr(), *limits.shape, on.data_ptr())
    return on


def _at_most(draws: Tensor, limit: Tensor) -> Bool[Tensor, "..."]:
    if draws.device.type != "cpu":
        return draws <= limit
    # In main memory numpy takes a quarter of the time.
    return torch.from_numpy(np.asarray(draws.numpy() <= limit.numpy()))


def integers(keys: Keys, high: int, *shape: int) -> Int64[Tensor, "..."]:
    """Draws from 0 .. high - 1, equally likely to within high / 2^32, shape (*step, instance, *shape)."""
    words = _integers(keys, shape).long().bitwise_and_(2**32 - 1)
    return keys.to_instances(words.mul_(high).bitwise_right_shift_(32))


def permutation(keys: Keys, size: int) -> Int64[Tensor, "..."]:
    """A uniformly random order of 0 .. size - 1, shape (*step, instance, size)."""
    return keys.to_instances(_words(keys, size).argsort(dim=-1))


def normal(keys: Keys, *shape: int) -> Float[Tensor, "..."]:
    """Standard normal draws by inversion, shape (*step, instance, *shape); none lies beyond 5.4."""
    # Odd multiples of 2^-24 are symmetric, exact in float32 and never +-1, where erfinv is infinite.
    centred = _integers(keys, shape).bitwise_right_shift_(8).float().add_(0.5).mul_(2.0**-23)
    return keys.to_instances(centred.erfinv_().mul_(math.sqrt(2)))


def signs(keys: Keys, *shape: int) -> Float[Tensor, "..."]:
    """Fair draws of -1 or +1, shape (*step, instance, *shape); one random bit each."""
    size = math.prod(shape)
    octets = _words(keys, -(-size // 64)).view(torch.uint8)[..., : -(-size // 8)].int()
    # A gather of eight signs for each random byte costs a quarter of shifting and masking the bits apart.
    table = (
        torch.arange(256, device=octets.device).unsqueeze(-1).bitwise_right_shift(torch.arange(8, device=octets.device))
    )
    rows = torch.nn.functional.embedding(octets, table.bitwise_and_(1).float().mul_(2).sub_(1))
    return keys.to_instances(rows.flatten(-2)[..., :size].reshape(*keys.values.shape, *shape))


def noise(keys: Keys, law: NoiseLaw, *shape: int) -> Float[Tensor, "..."]:
    """Noise of mean 0 and variance 1, shape (*step, instance, *shape).

    Excess kurtosis: bernoulli (-1 or +1) -2, uniform -1.2, gaussian 0, laplace +3.
    """
    if law == "bernoulli":
        return signs(keys, *shape)
    if law == "gaussian":
        return normal(keys, *shape)
    draws = _integers(keys, shape).bitwise_right_shift_(8).float().add_(0.5).mul_(2.0**-23)
    if law == "uniform":
        return keys.to_instances(draws.mul_(math.sqrt(3)))
    return keys.to_instances(draws.abs().log_().mul_(-1 / math.sqrt(2)).copysign_(draws))
