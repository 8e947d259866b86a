from __future__ import annotations

from findings.claim import Claim
from findings.networks import LATE, narrowest
from findings.question import Tables
from findings.questions.cooccurrence import densest, ends_of, exclusive_of, found_in, gone_of, l1_ends, turn_of
from findings.statistics import by_key, interval, is_less

_SWEEPS = ("cooccurrence", "pairs", "dial")


def _whole_disappear(tables: Tables) -> bool:
    """Fewer with the most companions that leave features covered than with the fewest, at every width."""
    found = found_in(tables)
    ends = [ends_of(rows) for name in _SWEEPS for _, rows in found[name].groupby("n_hidden")]
    return all(is_less(most["whole"], least["whole"], level=0.02) for least, most in ends)


def _are_gone(tables: Tables) -> bool:
    """At the same companions in every network, narrow or wide, with every feature covered."""
    found = found_in(tables)
    companions = gone_of(found)["expected_companions"].iloc[0]
    there = found["cooccurrence"][found["cooccurrence"]["expected_companions"] == companions]
    return bool(there["whole"].max() == 0) and there["coverage"].mean() > 0.99


def _rotated_pairs_come(tables: Tables) -> bool:
    least, most = ends_of(narrowest(found_in(tables)["cooccurrence"]))
    return is_less(least["parts"], most["parts"], level=0.05) and is_less(
        least["collisions_compensated"], most["collisions_compensated"], level=0.05
    )


def _do_not_interfere(tables: Tables) -> bool:
    """Encodings stay orthogonal, and sharing costs no more than not to share."""
    gone = gone_of(found_in(tables))
    cost = gone["collision_excess_cost"].dropna().abs()
    return bool(gone["mean_interference"].max() < 1e-3 and cost.max() < 0.05)


def _near_071(tables: Tables) -> bool:
    """No neuron of a pair has two weights in the paper's band, most have two of 0.7 or more."""
    gone = gone_of(found_in(tables))
    above, counted = (int(gone[name].sum()) for name in ("polysemantic_neurons_0.7", "polysemantic_neurons"))
    return bool(gone["polysemantic_neurons_band"].max() == 0) and above > 0.5 * counted > 0


def _stand_for_no_feature(tables: Tables) -> bool:
    return densest(tables["cooccurrence"])["coverage"].mean() < 0.1


def _are_all_represented(tables: Tables) -> bool:
    """What refutes that features are lost: at the most companions nearly all are given back, from many neurons."""
    spread = densest(tables["cooccurrence"])
    return bool(spread["represented"].min() > 0.98 and spread["participation_ratio"].min() > 5)


def _shifts_back(tables: Tables) -> bool:
    """Where features are seldom on together, stronger L1 leaves more neurons with two whole features."""
    table = found_in(tables)["by_l1"]
    weak, strong = l1_ends(table[table["expected_companions"].between(0.5, 1)])
    return is_less(weak["whole"], strong["whole"])


def _on_more_neurons(tables: Tables) -> bool:
    groups = [rows for _, rows in by_key(narrowest(found_in(tables)["cooccurrence"]), "expected_companions")]
    gone = gone_of(found_in(tables))["expected_companions"].iloc[0]
    ratios = [rows["participation_ratio"].mean() for rows in groups if rows["expected_companions"].iloc[0] >= gone]
    return ratios == sorted(ratios) and ratios[-1] > 2 * ratios[0]


def _exclusive_collide(tables: Tables) -> bool:
    """More neurons with two whole features than at as many companions that the two share."""
    found = found_in(tables)
    exclusive, gone = exclusive_of(found), gone_of(found)
    near = abs(exclusive["expected_companions"].iloc[0] - gone["expected_companions"].iloc[0]) < 0.5
    return near and is_less(gone["whole"], exclusive["whole"])


def _does_not_gather(tables: Tables) -> bool:
    """At every density above the turn, under each L1, hardly a feature has a neuron and all are represented."""
    dense = tables["dense"]
    _, above, _ = turn_of(tables)
    there = dense[dense["probability"] >= above["probability"].min()]
    return all(
        interval(rows["coverage"]).high < 0.05 and rows["participation_ratio"].min() > 10
        for _, rows in there.groupby(["probability", "l1"])
    ) and bool(there["represented"].min() > 0.98)


def _acts_against(tables: Tables) -> bool:
    """Above the turn less aligned than random and than without L1, below it far more, under each L1."""
    below, above, free = turn_of(tables)
    return all(
        interval(rows["privilege_z"]).high < 0
        and is_less(rows["privilege_z"], free["privilege_z"])
        and is_less(free["participation_ratio"], rows["participation_ratio"])
        for _, rows in above.groupby("l1")
    ) and all(interval(rows["privilege_z"]).low > 100 for _, rows in below.groupby("l1"))


def _away_from_neurons(tables: Tables) -> bool:
    """What spread codes went on to do under L1 in the second half of training."""
    dense = tables["dense"]
    spread = dense[dense["privilege"] < 0.5]
    return all(interval(rows[LATE]).high < 0 for _, rows in spread.groupby(["probability", "l1"]))


def _wide_keep_some(tables: Tables) -> bool:
    """More aligned than random bases, if little, and less so under more L1."""
    wide = densest(tables["cooccurrence"])
    ends = [l1_ends(rows) for m, rows in wide.groupby("n_hidden") if m > wide["n_hidden"].min()]
    return all(
        is_less(strong["privilege"], weak["privilege"])
        and interval(strong["privilege"]).low > 0
        and weak["privilege"].mean() < 0.1
        for weak, strong in ends
    )


_FIRST = "cooccurrence"
CLAIMS = (
    Claim(
        "Neurons that carry two whole features disappear while every feature is still covered",
        _whole_disappear,
        tuple(f"{sweep}.polysemantic_neurons_band" for sweep in _SWEEPS),
        small=True,
    ),
    Claim("none in 16 networks at", _are_gone, (f"{_FIRST}.polysemantic_neurons_band", f"{_FIRST}.coverage")),
    Claim("In their place come rotated pairs", _rotated_pairs_come, (f"{_FIRST}.collisions_compensated",)),
    Claim(
        "at 45 degrees, which do not interfere",
        _do_not_interfere,
        (f"{_FIRST}.mean_interference", f"{_FIRST}.collision_excess_cost"),
    ),
    Claim("no neuron stands for a feature", _stand_for_no_feature, (f"{_FIRST}.coverage",)),
    Claim(
        "The features are all represented ... each spread over many neurons",
        _are_all_represented,
        (f"{_FIRST}.represented", f"{_FIRST}.participation_ratio"),
    ),
    Claim(
        "and stronger L1 does not gather them",
        _does_not_gather,
        ("dense.coverage", "dense.participation_ratio", "dense.represented"),
    ),
    Claim(
        "Above that density L1 acts against neurons",
        _acts_against,
        ("dense.privilege_z", "dense.participation_ratio", "dense_without_l1.participation_ratio"),
    ),
    Claim("in the second half of training, away from neurons", _away_from_neurons, (f"dense.{LATE}",)),
    Claim(
        "the paper's band neither, as every weight is near 0.71",
        _near_071,
        (f"{_FIRST}.polysemantic_neurons_band", f"{_FIRST}.polysemantic_neurons_0.7"),
    ),
    Claim("and features lie on more neurons", _on_more_neurons, (f"{_FIRST}.participation_ratio",)),
    Claim(
        "with mutually exclusive groups ... neurons carry two whole features",
        _exclusive_collide,
        ("dial.polysemantic_neurons_band", f"{_FIRST}.polysemantic_neurons_band"),
    ),
    Claim("stronger L1 shifts the balance back", _shifts_back, (f"{_FIRST}.polysemantic_neurons_band",)),
    Claim("Wide networks keep some alignment", _wide_keep_some, (f"{_FIRST}.privilege",)),
)
