"""Networks whose weights are set by hand, so that the value of every measurement is known."""

import math

import torch

NETWORKS = {
    "mixed": (3, 2, 1, 2, 8),
    "monosemantic": (4, 0, 0, 0, 4),
    "opposite": (0, 3, 0, 1, 5),
    "same": (0, 0, 3, 0, 3),
    "more features than neurons": (1, 2, 1, 0, 4),
    "dead": (0, 0, 0, 3, 4),
    "n=1": (1, 0, 0, 0, 4),
    "n=1 dead": (0, 0, 0, 1, 4),
    "m=1 opposite": (0, 1, 0, 0, 1),
    "m=1 same": (0, 0, 1, 1, 1),
    "n=m=1": (1, 0, 0, 0, 1),
}


def hadamard(n: int) -> torch.Tensor:
    """The normalised Hadamard matrix of n rows; its entries are exact in binary where n is a power of 4."""
    W = torch.ones(1, 1)
    while len(W) < n:
        W = torch.cat([torch.cat([W, W], 1), torch.cat([W, -W], 1)])
    return W / math.sqrt(n)


def planted(mono: int, opposite: int, same: int, uncarried: int, n_hidden: int) -> dict[str, torch.Tensor]:
    """A network of weights 1, -1 and 0, and what else is measured with it.

    Its features: monosemantic ones, opposite-sign pairs across the two parts of the partition, same-sign pairs across
    them, and dead ones. Same-sign pairs co-occur twice as often as others and opposite-sign pairs never.
    """
    n = mono + 2 * (opposite + same) + uncarried
    W, partition, cooccurrence = torch.zeros(n, n_hidden), torch.ones(n), torch.full((n, n), 0.1, dtype=torch.float64)
    neurons = torch.randperm(n_hidden, generator=torch.Generator().manual_seed(0)).tolist()
    for i in range(mono):
        W[i, neurons.pop()] = 1
    for pair in range(opposite + same):
        i, j, k = mono + 2 * pair, mono + 2 * pair + 1, neurons.pop()
        W[i, k], W[j, k] = 1, -1 if pair < opposite else 1
        partition[j] = -1
        cooccurrence[i, j] = cooccurrence[j, i] = 0.0 if pair < opposite else 0.2
    w_start = 0.25 * W
    w_start[0] *= -1
    return {"W_enc": W, "w_start": w_start, "cooccurrence": cooccurrence, "partition": partition}


def ratio(a: float, b: float) -> float:
    return a / b if b else math.nan
