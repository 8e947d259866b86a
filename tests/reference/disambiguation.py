"""The partition of the features, and the solution that tells its parts apart."""

import math

import torch


def partition_energies(W_enc, W_dec, signs):
    n_instances, n_features, n_hidden = W_enc.shape
    energies = torch.zeros(n_instances, n_hidden, dtype=W_enc.dtype)
    for a in range(n_instances):
        for k in range(n_hidden):
            read = sum(signs[i] * W_enc[a, i, k] for i in range(n_features))
            write = sum(signs[i] * W_dec[a, i, k] for i in range(n_features))
            energies[a, k] = read * write / n_features
    return energies


def disambiguation_solution(n_features, n_hidden):
    """Tied weights and output biases of design section 7."""
    half = n_features // 2
    W = torch.zeros(n_features, n_hidden)
    for i in range(half):
        W[i, 0] = math.sqrt(2 / n_features)
        W[half + i, 0] = -math.sqrt(2 / n_features)
        W[i, 1 + i] = 1
        W[half + i, 1 + i] = 1
    return W, torch.full((n_features,), -0.5)
