"""Angles and overlaps of the encodings."""

import itertools
import math

from tests.reference.common import dot, mean


def angles(W):
    """Angles of all pairs of rows that have a direction, in degrees."""
    return [
        math.degrees(math.acos(max(-1.0, min(1.0, dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))))))
        for a, b in itertools.combinations([row for row in W if any(row)], 2)
    ]


def min_angle(W):
    return min(angles(W), default=math.nan)


def share_angles_below_90(W):
    return mean(float(angle < 89) for angle in angles(W))


def feature_dimensionality(W):
    return [
        dot(row, row) / sum((dot(row, other) / math.sqrt(dot(row, row))) ** 2 for other in W) if any(row) else 0.0
        for row in W
    ]


def interference(W_enc, W_dec):
    n = len(W_enc)
    return [[dot(W_enc[i], W_dec[j]) if i != j else 0.0 for j in range(n)] for i in range(n)]


def weighted_interference(W_enc, W_dec, cooccurrence):
    pairs = list(itertools.permutations(range(len(W_enc)), 2))
    weight = sum(cooccurrence[i][j] for i, j in pairs)
    total = sum(cooccurrence[i][j] * dot(W_enc[i], W_dec[j]) ** 2 for i, j in pairs)
    return total / weight if weight else math.nan
