"""When collisions begin and end."""

import itertools

import numpy as np


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
