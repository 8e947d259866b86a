"""Which features share a neuron, in which way, and what that costs."""

import itertools
import statistics

import torch

from tests.reference.common import effective_weight


def collisions(W_enc, W_dec, threshold=0.5):
    """Tuples (neuron, feature_i, feature_j, opposite_sign), by the sign rule on both matrices."""
    w = effective_weight(W_enc, W_dec)
    return [
        (k, i, j, W_enc[i][k] * W_dec[j][k] < 0 and W_enc[j][k] * W_dec[i][k] < 0)
        for k in range(len(w[0]))
        for i, j in itertools.combinations(range(len(w)), 2)
        if abs(w[i][k]) >= threshold and abs(w[j][k]) >= threshold
    ]


def interference_cost(x, x_hat):
    n_instances, batch, n_features = x.shape
    cost = torch.full((n_instances, n_features, n_features), torch.nan, dtype=torch.float64)
    for a in range(n_instances):
        for i in range(n_features):
            for j in range(n_features):
                numerator, denominator = 0.0, 0.0
                for b in range(batch):
                    if (x[a, b, i] > 0) != (x[a, b, j] > 0):
                        for f in (i, j):
                            numerator += (x_hat[a, b, f].item() - x[a, b, f].item()) ** 2
                            denominator += x[a, b, f].item() ** 2
                if denominator > 0:
                    cost[a, i, j] = numerator / denominator
    return cost


def shares_neuron(w, threshold=0.5):
    shared = torch.zeros(*w.shape[:2], w.shape[1], dtype=torch.bool)
    for a, i, j in itertools.product(*map(range, shared.shape)):
        for k in range(w.shape[2]):
            if abs(w[a, i, k]) >= threshold and abs(w[a, j, k]) >= threshold:
                shared[a, i, j] = True
    return shared


def excess_cost(cost, shared):
    excess = torch.full_like(cost, torch.nan)
    for a in range(len(cost)):
        ordinary = [
            cost[a, i, j].item()
            for i, j in itertools.combinations(range(cost.shape[1]), 2)
            if not shared[a, i, j] and not cost[a, i, j].isnan()
        ]
        if ordinary:
            excess[a] = cost[a] - statistics.median(ordinary)
    return excess


def same_sign_kind(collision, W_enc, W_dec, excess, cooccurrence):
    a, k, i, j, opposite = collision
    if opposite:
        return None
    cancelled = []
    for read, write in ((i, j), (j, i)):
        overlap = sum(W_enc[a, read, q].item() * W_dec[a, write, q].item() for q in range(W_enc.shape[2]))
        cancelled.append(overlap < W_enc[a, read, k].item() * W_dec[a, write, k].item() / 4)
    if all(cancelled):
        return "compensated"
    exactly_one = cooccurrence[a, i, i] + cooccurrence[a, j, j] - 2 * cooccurrence[a, i, j]
    return "disambiguated" if excess[a, i, j] < 0.05 and exactly_one > 0 else "costly"
