"""Numbers of several laws, drawn by key."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from polysemantic.random.keys import Keys
from polysemantic.random.splitmix64 import random_bits

NoiseLaw = Literal["bernoulli", "uniform", "gaussian", "laplace"]


def _bits_32(keys: Keys, shape: tuple[int, ...]) -> Tensor:
    """32 random bits for each element, as int32, shape (*step, seed, *shape)."""
    size = math.prod(shape)
    halves = random_bits(keys.values, (size + 1) // 2).view(torch.int32)
    return halves[..., :size].reshape(*keys.values.shape, *shape)


def uniform(keys: Keys, *shape: int) -> Float[Tensor, "..."]:
    """Draws from U[0, 1), multiples of 2^-24, shape (*step, instance, *shape).

    Example:
        >>> from polysemantic.random import make_keys
        >>> keys = make_keys(0, "data", torch.tensor([0, 1, 0]))
        >>> draws = uniform(keys, 4)
        >>> draws.shape, bool((draws[0] == draws[2]).all()), bool((draws[0] == draws[1]).any())
        (torch.Size([3, 4]), True, False)
    """
    return keys.to_instances(_bits_32(keys, shape).bitwise_and_(2**24 - 1).float().mul_(2.0**-24))


def bernoulli(keys: Keys, probability: float | Float[Tensor, "..."], *shape: int) -> Bool[Tensor, "..."]:
    """True with the given probability (to 2^-31; 0 is never and 1 always), shape (*step, instance, *shape).

    Args:
        keys: Keys; instances of one seed share the underlying uniform draw, so a larger probability only adds events.
        probability: A number, or a tensor that broadcasts against (instance, *shape).
        shape: The shape of one instance's draw.
    """
    limit = torch.as_tensor(probability, dtype=torch.float64, device=keys.values.device).mul(2.0**31).round().long() - 1
    draws = keys.to_instances(_bits_32(keys, shape).bitwise_and_(2**31 - 1))
    limit = limit.to(torch.int32)
    if draws.device.type != "cpu":
        return draws <= limit
    # In main memory numpy takes a quarter of the time.
    return torch.from_numpy(np.asarray(draws.numpy() <= limit.numpy()))


def integers(keys: Keys, high: int, *shape: int) -> Int64[Tensor, "..."]:
    """Draws from 0 .. high - 1, equally likely to within high / 2^32, shape (*step, instance, *shape)."""
    bits = _bits_32(keys, shape).long().bitwise_and_(2**32 - 1)
    return keys.to_instances(bits.mul_(high).bitwise_right_shift_(32))


def permutation(keys: Keys, size: int) -> Int64[Tensor, "..."]:
    """A uniformly random order of 0 .. size - 1, shape (*step, instance, size)."""
    return keys.to_instances(random_bits(keys.values, size).argsort(dim=-1))


def normal(keys: Keys, *shape: int) -> Float[Tensor, "..."]:
    """Standard normal draws by inversion, shape (*step, instance, *shape); none lies beyond 5.4."""
    # Odd multiples of 2^-24 are symmetric, exact in float32 and never +-1, where erfinv is infinite.
    centred = _bits_32(keys, shape).bitwise_right_shift_(8).float().add_(0.5).mul_(2.0**-23)
    return keys.to_instances(centred.erfinv_().mul_(math.sqrt(2)))


def signs(keys: Keys, *shape: int) -> Float[Tensor, "..."]:
    """Fair draws of -1 or +1, shape (*step, instance, *shape); one random bit each."""
    size = math.prod(shape)
    octets = random_bits(keys.values, -(-size // 64)).view(torch.uint8)[..., : -(-size // 8)].int()
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
    draws = _bits_32(keys, shape).bitwise_right_shift_(8).float().add_(0.5).mul_(2.0**-23)
    if law == "uniform":
        return keys.to_instances(draws.mul_(math.sqrt(3)))
    assert law == "laplace"
    return keys.to_instances(draws.abs().log_().mul_(-1 / math.sqrt(2)).copysign_(draws))
