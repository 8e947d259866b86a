"""Keyed random draws: every number is a function of a key and its own index, and of nothing else.

A draw never depends on a generator's past, on the number of instances beside it, on the process or on the device.
"""

from polysemantic.random.draws import NoiseLaw, bernoulli, integers, noise, normal, permutation, signs, uniform
from polysemantic.random.keys import Keys, Stream, make_keys

__all__ = [
    "Keys",
    "NoiseLaw",
    "Stream",
    "bernoulli",
    "integers",
    "make_keys",
    "noise",
    "normal",
    "permutation",
    "signs",
    "uniform",
]
