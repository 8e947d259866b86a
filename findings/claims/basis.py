from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from findings.claim import Claim
from findings.networks import COUNTS
from findings.question import Tables
from findings.questions.basis import EQUIVARIANT, ROTATED, densest, named, outside
from findings.statistics import interval


def _without(tables: Tables) -> pd.DataFrame:
    table = named(tables["without_l1"])
    return table[table["l1"] == 0]


def _strong(tables: Tables) -> pd.DataFrame:
    table = named(tables["without_l1"])
    return table[table["l1"] > 0]


def _each(holds: Callable[[pd.DataFrame], bool]) -> Callable[[Tables], bool]:
    """Whether it holds for the networks without L1 under each optimiser."""
    return lambda tables: all(holds(rows) for _, rows in _without(tables).groupby("name"))


def _random(tables: Tables) -> bool:
    rows = _without(tables)
    return all(
        outside(one).low < 0.05 and abs(one["privilege_z"].mean()) < 0.5
        for name, one in rows.groupby("name")
        if name in EQUIVARIANT
    )


def _adam_is_less_aligned(tables: Tables) -> bool:
    rows = _without(tables)
    return interval(rows[~rows["name"].isin(EQUIVARIANT)]["privilege_z"]).high < 0


def _l1_aligns(tables: Tables) -> bool:
    rows = _strong(tables)
    return bool(rows["privilege_z"].min() > 10) and interval(rows["rotation_gap"]).low > 0


def _not_enough(tables: Tables) -> bool:
    """Where features are dense, no more aligned than random bases, whatever the L1."""
    rows = densest(tables["dense"])
    return all(interval(one["privilege_z"]).high < 0 for _, one in rows.groupby("l1"))


def _as_rotated(rows: pd.DataFrame) -> bool:
    ratio = interval(rows["features_per_neuron"] / rows[ROTATED])
    return 0.9 < ratio.low < ratio.high < 1.2


def _spread(tables: Tables) -> bool:
    """A neuron responds to more features than under L1, to a quarter of all or more."""
    without, strong = _without(tables), _strong(tables)["features_per_neuron"]
    least = max(2 * float(strong.mean()), int(without["n_features"].iloc[0]) / 4)
    return interval(without["features_per_neuron"]).low > least


def _says_nothing(tables: Tables) -> bool:
    """Less coverage and fewer counted than under L1, by every threshold."""
    without, strong = _without(tables), _strong(tables)
    return all(
        interval(without[column]).high < interval(strong[column]).low for pair in COUNTS.values() for column in pair
    )


_Z, _PER_NEURON = "without_l1.privilege_z", "without_l1.features_per_neuron"
CLAIMS = (
    Claim("Without L1 the basis that gradient descent finds is as random as any", _random, (_Z,), small=True),
    Claim("Adam's is less aligned with the neurons than a random one", _adam_is_less_aligned, (_Z,), small=True),
    Claim("every network's z is above", _l1_aligns, (_Z, "without_l1.rotation_gap"), small=True),
    Claim("L1 is not enough everywhere", _not_enough, ("dense.privilege_z",)),
    Claim(
        "Without L1 all features are represented",
        _each(lambda rows: bool(rows["represented"].min() == 1)),
        ("without_l1.represented",),
        small=True,
    ),
    Claim(
        "no two encodings are at an acute angle",
        _each(lambda rows: bool(rows["share_angles_below_90"].max() < 0.001 and rows["min_angle"].min() > 89)),
        ("without_l1.share_angles_below_90", "without_l1.min_angle"),
        small=True,
    ),
    Claim(
        "about what a random rotation of the same code gives",
        _each(_as_rotated),
        (_PER_NEURON, f"without_l1.{ROTATED}"),
        small=True,
    ),
    Claim("Every neuron is highly polysemantic", _spread, (_PER_NEURON,), small=True),
    Claim(
        "a count near 0 says nothing",
        _says_nothing,
        ("without_l1.coverage", "without_l1.polysemantic_neurons"),
        small=True,
    ),
    Claim(
        "The rotation gap is exactly 0 without L1",
        _each(lambda rows: bool((rows["rotation_gap"] == 0).all())),
        ("without_l1.rotation_gap",),
        small=True,
    ),
)
