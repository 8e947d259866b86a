"""What the other oracles are written with."""

import math

import numpy as np
import torch


def per_instance(oracle, *tensors):
    """Apply an oracle to each instance, given as nested lists, and stack what it returns."""
    shape = tensors[0].shape[:-2]
    flat = [tensor.double().reshape(-1, *tensor.shape[-2:]).tolist() for tensor in tensors]
    rows = torch.from_numpy(np.array([oracle(*matrices) for matrices in zip(*flat, strict=True)]))
    return rows.reshape((*shape, *rows.shape[1:]))


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else math.nan


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def effective_weight(W_enc, W_dec):
    return [
        [math.copysign(math.sqrt(max(0.0, e * d)), e) for e, d in zip(enc, dec, strict=True)]
        for enc, dec in zip(W_enc, W_dec, strict=True)
    ]
