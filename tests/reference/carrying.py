"""Which neurons carry which features."""

import math

from tests.reference.common import dot, mean


def coverage(w):
    return mean(float(any(abs(value) >= 0.5 for value in row)) for row in w)


def represented(W_enc, W_dec):
    return mean(float(dot(enc, dec) >= 0.5) for enc, dec in zip(W_enc, W_dec, strict=True))


def carriers(w):
    counts = [sum(abs(value) >= 0.5 for value in row) for row in w]
    return float(mean(count for count in counts if count > 0))


def polysemantic_neurons(w, low=0.5, high=math.inf):
    return sum(sum(low <= abs(row[k]) <= high for row in w) >= 2 for k in range(len(w[0])))


def features_per_neuron(w):
    columns = list(zip(*w, strict=True))
    largest = max(dot(column, column) for column in columns)
    alive = [column for column in columns if dot(column, column) > 0.01 * largest]
    return mean(dot(column, column) ** 2 / sum(value**4 for value in column) for column in alive)


def sparsity_count(w):
    return float(mean(sum(abs(value) > 0.01 * max(map(abs, row)) for value in row) for row in w))


def l1_norm(w):
    return mean(sum(map(abs, row)) for row in w)


def winners(w_end):
    """The feature and the neuron of each final winner."""
    best = [max(range(len(row)), key=lambda k: abs(row[k])) for row in w_end]
    return [(i, k) for i, k in enumerate(best) if abs(w_end[i][k]) >= 0.5]


def winner_was_largest(w_start, w_end):
    return mean(float(abs(w_start[i][k]) == max(map(abs, w_start[i]))) for i, k in winners(w_end))


def winner_kept_sign(w_start, w_end):
    return mean(float(w_start[i][k] * w_end[i][k] > 0) for i, k in winners(w_end))
