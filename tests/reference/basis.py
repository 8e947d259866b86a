"""Whether the basis of the neurons is special."""

import math

import torch

from tests.reference.common import dot, effective_weight, mean


def fourth_norm(w):
    return mean(sum(value**4 for value in row) for row in w)


def fourth_norm_null(w):
    """Mean and variance, by the formula with cosines; rows must not be zero, nor the neuron the only one."""
    n, m = len(w), len(w[0])
    norm = [math.sqrt(dot(row, row)) for row in w]
    V = 24 * (m - 1) / ((m + 2) ** 2 * (m + 4) * (m + 6))
    variance = 0.0
    for i in range(n):
        for j in range(n):
            c = dot(w[i], w[j]) / (norm[i] * norm[j])
            P = ((m + 2) * (m + 4) * c**4 - 6 * (m + 2) * c**2 + 3) / (m**2 - 1)
            variance += V / n**2 * norm[i] ** 4 * norm[j] ** 4 * P
    return [mean(3 * length**4 / (m + 2) for length in norm), variance]


def privilege(w):
    null, _ = fourth_norm_null(w)
    return (fourth_norm(w) - null) / (mean(dot(row, row) ** 2 for row in w) - null)


def participation_ratio(W_enc, W_dec):
    w = effective_weight(W_enc, W_dec)
    kept = [row for row, enc, dec in zip(w, W_enc, W_dec, strict=True) if dot(enc, dec) >= 0.5]
    return mean(dot(row, row) ** 2 / sum(value**4 for value in row) for row in kept)


def hidden_excess_kurtosis(h):
    result = torch.full((len(h),), torch.nan, dtype=torch.float64)
    for a in range(len(h)):
        used = [row for row in h[a].tolist() if any(v != 0 for v in row)]
        if used:
            values = [len(row) * sum(v**4 for v in row) / sum(v**2 for v in row) ** 2 - 3 for row in used]
            result[a] = sum(values) / len(values)
    return result


def random_rotations(normals):
    """Q sign(diag R) of QR = `normals`, Haar if these are standard normals (arXiv:math-ph/0609050)."""
    Q, R = torch.linalg.qr(normals)
    return Q * R.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def rotation_gap(loss, W_enc, W_dec, Q):
    """What one rotation adds to the loss; tied if both matrices are one tensor."""
    turned = W_enc @ Q
    return loss(turned, turned if W_dec is W_enc else W_dec @ Q) - loss(W_enc, W_dec)
