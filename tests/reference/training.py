"""The objective, the flow of one feature, and when training has converged."""

import math

import numpy as np
import torch

from tests.reference.common import dot, mean


def objective(x, W_enc, W_dec=None, b_dec=None, noise=None, *, act, l1, importance):
    """The loss of design section 2 of each instance, input by input; differentiable, W_dec None if tied."""
    n_instances, n_inputs, n_features = x.shape
    losses = []
    for a in range(n_instances):
        decoder = W_enc[a] if W_dec is None else W_dec[a]
        loss = 0.0
        for s in range(n_inputs):
            h = sum(x[a, s, i] * W_enc[a, i] for i in range(n_features))
            h = h.relu() if act == "relu" else h
            z = h if noise is None else h + noise[a, s]
            for i in range(n_features):
                output = (z * decoder[i]).sum() + (0.0 if b_dec is None else b_dec[a, i])
                loss = loss + importance[a] ** i * (output.relu() - x[a, s, i]) ** 2
            scale = 1.0 if W_dec is None else W_dec[a].norm(dim=0)
            loss = loss + l1[a] * (scale * h.abs()).sum()
        losses.append(loss / n_inputs)
    return torch.stack(losses)


def reconstruction_error(x_hat, x):
    return mean(sum((a - b) ** 2 for a, b in zip(*rows, strict=True)) for rows in zip(x_hat, x, strict=True))


def sparsification(n_hidden, l1_rate, step, steps, init_scale, seed):
    """Signed weights, all of them kept, after each Euler step of the paper's flow."""
    w = np.random.default_rng(seed).normal(0.0, init_scale / math.sqrt(n_hidden), n_hidden).tolist()
    for _ in range(steps):
        squared = dot(w, w)
        moved = [value + step * ((1 - squared) * value - l1_rate * np.sign(value)) for value in w]
        w = [new if new * old > 0 else 0.0 for old, new in zip(w, moved, strict=True)]
        yield w


def converged_step(
    history, interval, l1, *, min_steps=0, n_checks=2, max_change=1e-3, tolerance=0.02, min_privilege=0.5
):
    """Step at which one instance has converged, or None; `history` holds its weights at every step."""
    samples = sorted({math.ceil(interval * part / 5) for part in range(1, 6)})
    n, m = history[0].shape
    on = [[False] * m for _ in range(n)]
    old_mean, old_w, n_still = None, None, 0
    for step in range(interval, len(history), interval):
        w = history[step].tolist()
        mean_f4 = mean(
            mean(sum(v**4 for v in row) for row in history[step - interval + sample].tolist()) for sample in samples
        )
        was_on, on = (
            on,
            [[abs(v) >= (0.3 if o else 0.5) for v, o in zip(*rows, strict=True)] for rows in zip(w, on, strict=True)],
        )
        still = (
            old_w is not None
            and abs(mean_f4 - old_mean) < max_change * abs(old_mean)
            and on == was_on
            and max(abs(a - b) for rows in zip(w, old_w, strict=True) for a, b in zip(*rows, strict=True)) < tolerance
        )
        old_mean, old_w, n_still = mean_f4, w, n_still + 1 if still else 0
        lengths = mean(sum(v**2 for v in row) ** 2 for row in w)
        f4, null = mean(sum(v**4 for v in row) for row in w), 3 * lengths / (m + 2)
        privileged = l1 == 0 or (f4 - null) / (lengths - null) >= min_privilege
        if n_still >= n_checks and privileged and step >= min_steps:
            return step
    return None
