from __future__ import annotations

import pandas as pd

from findings.claim import Claim
from findings.networks import COUNTS
from findings.question import Tables
from findings.questions.necessary import EXCESS, identity, wanting
from findings.statistics import by_key, interval, is_less
from polysemantic.theory import expected_polysemantic_neurons

_COUNTS = tuple(f"necessary.{count}" for count, _ in COUNTS.values())


def _excess(table: pd.DataFrame, count: str) -> dict[int, pd.Series]:
    n = int(table["n_features"].iloc[0])
    return {m: rows[count] - max(0, n - m) for m, rows in by_key(table, "n_hidden")}


def _peaks(tables: Tables) -> bool:
    """From none at m = n/2 to most at m = n, by every threshold."""
    table = tables["necessary"]
    n = int(table["n_features"].iloc[0])
    for count, _ in COUNTS.values():
        excess = _excess(table, count)
        if abs(excess[min(excess)].mean()) >= 0.5 or max(excess, key=lambda m: excess[m].mean()) != n:
            return False
        if not all(is_less(excess[m], excess[n]) for m in (min(excess), max(excess))):
            return False
    return True


def _is_of_represented(tables: Tables) -> bool:
    """The column of the excess is that over n - m, as all features are represented."""
    table = tables["necessary"]
    necessary = (table["n_features"] - table["n_hidden"]).clip(lower=0)
    return table["represented"].min() == 1 and bool((table[EXCESS] == table["polysemantic_neurons"] - necessary).all())


def _are_the_empty(tables: Tables) -> bool:
    return identity(tables["necessary"]).mean() > 0.95


def _one_a_slot(tables: Tables) -> bool:
    return (tables["necessary"]["collisions_same_sign"] == 0).mean() > 0.95


def _near_random_slots(tables: Tables) -> bool:
    """More than half of the curve, less than one and a half, below and above m = n."""
    for m, rows in by_key(tables["necessary"], "n_hidden"):
        slots = expected_polysemantic_neurons(int(rows["n_features"].iloc[0]), m)
        for count, _ in COUNTS.values():
            trained = interval(rows[count])
            if not (trained.low < 1.25 * slots and 0.75 * slots < trained.high):
                return False
    return True


def _sides(tables: Tables) -> bool:
    """Above the curve where features are more than neurons, below it where they are fewer."""
    table = tables["necessary"]
    n = int(table["n_features"].iloc[0])
    counts = {m: rows["polysemantic_neurons"].mean() for m, rows in by_key(table, "n_hidden")}
    ratios = {m: count / expected_polysemantic_neurons(n, m) for m, count in counts.items()}
    scarce = table[wanting(table)]["n_hidden"].unique()
    return all(ratios[m] > 1 for m in scarce) and all(ratio < 0.9 for m, ratio in ratios.items() if m > n)


def _opposite_sign(tables: Tables) -> bool:
    table = tables["necessary"]
    return (table["collisions_opposite_sign"] == table["polysemantic_neurons"]).mean() > 0.95


def _covers(tables: Tables) -> bool:
    return all(tables["necessary"][covered].mean() > 0.95 for _, covered in COUNTS.values())


CLAIMS = (
    Claim(
        "The excess over the necessary amount grows from ... one curve with its peak at m = n", _peaks, _COUNTS, True
    ),
    Claim(
        "The polysemantic neurons are n - m plus the empty ones",
        _are_the_empty,
        ("necessary.polysemantic_neurons", "necessary.empty_neurons"),
        small=True,
    ),
    Claim("a slot takes one feature", _one_a_slot, ("necessary.collisions_same_sign",), small=True),
    Claim("If the features took slots at random", _near_random_slots, _COUNTS, small=True),
    Claim("for n/2 < m < n and ... for m > n", _sides, ("necessary.polysemantic_neurons",)),
    Claim(
        "a shared neuron carries two features of opposite sign",
        _opposite_sign,
        ("necessary.collisions_opposite_sign", "necessary.polysemantic_neurons"),
        small=True,
    ),
    Claim(
        "The excess is defined by the features represented, which is all of them here",
        _is_of_represented,
        ("necessary.represented", f"necessary.{EXCESS}"),
    ),
    Claim("| coverage |", _covers, ("necessary.coverage", "necessary.coverage_0.7"), small=True),
)
