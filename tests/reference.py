"""Literal oracles: Python floats and loops, one instance at a time, no cleverness."""

import itertools
import math
import statistics

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


def coverage(w):
    return mean(float(any(abs(value) >= 0.5 for value in row)) for row in w)


def represented(W_enc, W_dec):
    return mean(float(dot(enc, dec) >= 0.5) for enc, dec in zip(W_enc, W_dec, strict=True))


def carriers(w):
    counts = [sum(abs(value) >= 0.5 for value in row) for row in w]
    return float(mean(count for count in counts if count > 0))


def polysemantic_neurons(w, low=0.5, high=math.inf):
    return sum(sum(low <= abs(row[k]) <= high for row in w) >= 2 for k in range(len(w[0])))


def collisions(W_enc, W_dec, threshold=0.5):
    """Tuples (neuron, feature_i, feature_j, opposite_sign), by the sign rule on both matrices."""
    w = effective_weight(W_enc, W_dec)
    return [
        (k, i, j, W_enc[i][k] * W_dec[j][k] < 0 and W_enc[j][k] * W_dec[i][k] < 0)
        for k in range(len(w[0]))
        for i, j in itertools.combinations(range(len(w)), 2)
        if abs(w[i][k]) >= threshold and abs(w[j][k]) >= threshold
    ]


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


def features_per_neuron(w):
    columns = list(zip(*w, strict=True))
    largest = max(dot(column, column) for column in columns)
    alive = [column for column in columns if dot(column, column) > 0.01 * largest]
    return mean(dot(column, column) ** 2 / sum(value**4 for value in column) for column in alive)


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


def winners(w_end):
    """The feature and the neuron of each final winner."""
    best = [max(range(len(row)), key=lambda k: abs(row[k])) for row in w_end]
    return [(i, k) for i, k in enumerate(best) if abs(w_end[i][k]) >= 0.5]


def winner_was_largest(w_start, w_end):
    return mean(float(abs(w_start[i][k]) == max(map(abs, w_start[i]))) for i, k in winners(w_end))


def winner_kept_sign(w_start, w_end):
    return mean(float(w_start[i][k] * w_end[i][k] > 0) for i, k in winners(w_end))


def sparsity_count(w):
    return float(mean(sum(abs(value) > 0.01 * max(map(abs, row)) for value in row) for row in w))


def l1_norm(w):
    return mean(sum(map(abs, row)) for row in w)


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


def hidden_excess_kurtosis(h):
    result = torch.full((len(h),), torch.nan, dtype=torch.float64)
    for a in range(len(h)):
        used = [row for row in h[a].tolist() if any(v != 0 for v in row)]
        if used:
            values = [len(row) * sum(v**4 for v in row) / sum(v**2 for v in row) ** 2 - 3 for row in used]
            result[a] = sum(values) / len(values)
    return result


def switch(on, w):
    """Add and remove the places (instance, feature, neuron) that a step switches on and off."""
    for place in itertools.product(*map(range, w.shape)):
        if abs(w[place].item()) >= 0.5:
            on.add(place)
        elif abs(w[place].item()) < 0.3:
            on.discard(place)


def collision_lives(history):
    """Lives as (instance, neuron, i, j, born, settled, resolved, ended_by), in order of resolution, then the living."""
    n_instances, n_features, n_hidden = history[0].shape
    pairs = itertools.combinations(range(n_features), 2)
    places = [(a, k, *pair) for (a, k), pair in itertools.product(np.ndindex(n_instances, n_hidden), pairs)]
    on, living, ended = set(), {}, []
    for step, w in enumerate(history):
        switch(on, w)
        for key in places:
            a, k, i, j = key
            i_on, j_on = (a, i, k) in on, (a, j, k) in on
            if i_on and j_on:
                life = living.setdefault(key, {"born": step, "settled": None})
                if life["settled"] is None and min(abs(w[a, i, k]), abs(w[a, j, k])) >= 0.7:
                    life["settled"] = step
            elif key in living:
                ended_by = "i" if j_on else "j" if i_on else "both"
                ended.append((*key, *living.pop(key).values(), step, ended_by))
    return ended + [(*key, *life.values(), None, None) for key, life in sorted(living.items())]


def kaplan_meier(duration, resolved):
    times, survival, alive = [], [], 1.0
    for time in sorted(set(duration)):
        at_risk = sum(d >= time for d in duration)
        deaths = sum(d == time and r for d, r in zip(duration, resolved, strict=True))
        alive *= 1 - deaths / at_risk
        times.append(time)
        survival.append(alive)
    return times, survival


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


def random_rotations(normals):
    """Q sign(diag R) of QR = `normals`, Haar if these are standard normals (arXiv:math-ph/0609050)."""
    Q, R = torch.linalg.qr(normals)
    return Q * R.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def rotation_gap(loss, W_enc, W_dec, Q):
    """What one rotation adds to the loss; tied if both matrices are one tensor."""
    turned = W_enc @ Q
    return loss(turned, turned if W_dec is W_enc else W_dec @ Q) - loss(W_enc, W_dec)


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
