from __future__ import annotations

import pandas as pd

from findings.claim import Claim
from findings.networks import COUNTS
from findings.question import Tables
from findings.questions.width import theory
from findings.statistics import exponent, interval

_COUNT = "polysemantic_neurons"


def _arms(tables: Tables) -> list[pd.DataFrame]:
    return [tables["width"], *(rows for _, rows in tables["width_by_optimizer"].groupby("optimizer"))]


def _falls(tables: Tables) -> bool:
    """As one over width, whatever the threshold."""
    counts = [count for count, _ in COUNTS.values()]
    return all(-1.7 < exponent(rows, "n_hidden", count) < -0.4 for rows in _arms(tables) for count in counts)


def _beside_theory(tables: Tables) -> bool:
    """Above the paper's curve at m = n, below it in wider networks."""
    table = tables["width"]
    n, curve = table["n_features"].iloc[0], theory(table)
    found = {m: interval(rows[_COUNT]) for m, rows in table.groupby("n_hidden")}
    return found[n].low > curve[n] and all(0.5 * curve[m] < one.value < curve[m] for m, one in found.items() if m > n)


def _never_vanishes(tables: Tables) -> bool:
    table = tables["width"]
    return interval(table[table["n_hidden"] == table["n_hidden"].max()][_COUNT]).low > 0


def _are_opposite(tables: Tables) -> bool:
    return all(
        rows["collisions_same_sign"].sum() < 0.05 * rows["collisions_opposite_sign"].sum() for rows in _arms(tables)
    )


def _still_transients(tables: Tables) -> bool:
    """Of the networks that had not converged those at n = 64 have features on several neurons, the others hardly."""
    paper, small = (tables[name][tables[name]["converged_step"].isna()] for name in ("width", "width_by_optimizer"))
    return bool(paper["carriers"].mean() < 1.01) and interval(small["carriers"]).low > 1.05


def _are_covered(tables: Tables) -> bool:
    return all(rows["coverage"].min() > 0.95 for rows in _arms(tables))


CLAIMS = (
    Claim(
        "the count falls as m^b with b =",
        _falls,
        tuple(f"{table}.{count}" for table in ("width", "width_by_optimizer") for count, _ in COUNTS.values()),
        small=True,
    ),
    Claim(
        "times n²/4m at m = n and ... times it in wider networks ... fewer pairs end on one neuron than at random",
        _beside_theory,
        ("width.polysemantic_neurons",),
    ),
    Claim("It does not vanish", _never_vanishes, ("width.polysemantic_neurons",)),
    Claim(
        "of the collisions have opposite sign",
        _are_opposite,
        ("width.collisions_same_sign", "width_by_optimizer.collisions_same_sign"),
        small=True,
    ),
    Claim(
        "where some of the collisions are still transients",
        _still_transients,
        ("width.carriers", "width_by_optimizer.carriers"),
    ),
    Claim("| coverage |", _are_covered, ("width.coverage", "width_by_optimizer.coverage"), small=True),
)
