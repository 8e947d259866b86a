from __future__ import annotations

import pandas as pd

from findings.claim import Claim
from findings.networks import COUNTS
from findings.question import Tables
from findings.questions.frontier import COUNT, ERROR, by_drive, by_l1, error_growth, error_ratio, settled, uncancelled
from findings.statistics import interval, is_less

_DRIVEN = tuple(f"frontier.driven_{count}" for count, _ in COUNTS.values())
_COVERED = ("frontier.driven_coverage", "frontier.driven_coverage_0.7")


def _sparse(tables: Tables) -> dict[str, pd.DataFrame]:
    """Networks with neurons to spare and enough L1, by their hidden layer."""
    return {str(act): rows for act, rows in settled(by_drive(tables["frontier"])).groupby("act")}


def _without(tables: Tables) -> dict[str, pd.DataFrame]:
    """Networks with neurons to spare and no L1, likewise."""
    table = by_drive(tables["frontier"])
    return {
        str(act): rows
        for act, rows in table[(table["l1"] == 0) & (table["n_hidden"] >= table["n_features"])].groupby("act")
    }


def _falls(tables: Tables) -> bool:
    """From m = n to the widest networks, by every threshold."""
    for rows in _sparse(tables).values():
        narrow, wide = (rows[rows["n_hidden"] == m] for m in (rows["n_features"].iloc[0], rows["n_hidden"].max()))
        if not all(is_less(wide[count], narrow[count]) for count, _ in COUNTS.values()):
            return False
    return True


def _relu_has_fewer(tables: Tables) -> bool:
    sparse = _sparse(tables)
    return all(is_less(sparse["relu"][count], sparse["linear"][count]) for count, _ in COUNTS.values())


def _no_dearer(tables: Tables) -> bool:
    return bool(error_ratio(settled(by_drive(tables["frontier"]))).between(0.5, 2).all())


def _stronger_costs(tables: Tables) -> bool:
    """Whatever the width and hidden layer, some ten times the error or more."""
    for _, rows in settled(by_drive(tables["frontier"])).groupby(["act", "n_hidden"]):
        error = rows.groupby("l1")[ERROR]
        if not error.max().iloc[0] < error.min().iloc[-1]:
            return False
    return all(error_growth(rows) > 10 for rows in _sparse(tables).values())


def _buys_nothing(tables: Tables) -> bool:
    linear = _sparse(tables)["linear"]
    counts = [linear.groupby("l1")[count].mean() for count, _ in COUNTS.values()]
    return all(means.max() < 1.3 * means.min() for means in counts)


def _leaves_fewer(tables: Tables) -> bool:
    relu = _sparse(tables)["relu"]
    return all(is_less(*by_l1(relu, count), level=0.01) for count, _ in COUNTS.values())


def _stand_for_nothing(tables: Tables) -> bool:
    """Represented all the same."""
    sparse, without = _sparse(tables), _without(tables)
    return all(
        interval(without[act][covered]).high < rows[covered].mean() - 0.1 and without[act]["represented"].min() > 0.95
        for act, rows in sparse.items()
        for covered in ("coverage", "coverage_0.7")
    )


def _has_its_neuron(tables: Tables) -> bool:
    return all(rows[covered].mean() > 0.98 for rows in _sparse(tables).values() for _, covered in COUNTS.values())


def _cancelled(tables: Tables) -> bool:
    """Behind a relu, where L1 costs little, less error than a tenth of what shared neurons alone would cause."""
    table = _sparse(tables)["relu"]
    weak = table[(table["l1"] == table["l1"].min()) & (table["n_hidden"] == table["n_features"])]
    return bool(weak[ERROR].mean() < 0.1 * uncancelled(weak).mean())


def _looks_worse(tables: Tables) -> bool:
    sparse = _sparse(tables)
    return is_less(sparse["linear"]["by_weight"], sparse["relu"]["by_weight"])


CLAIMS = (
    Claim("From m = n = ... the count falls", _falls, _DRIVEN, small=True),
    Claim("in a linear hidden layer and ... behind a relu", _relu_has_fewer, _DRIVEN, small=True),
    Claim("whose error is ... times that of the linear layer", _no_dearer, (f"frontier.{ERROR}",), small=True),
    Claim("A stronger L1 costs error", _stronger_costs, (f"frontier.{ERROR}",)),
    Claim("in a linear layer, buys nothing", _buys_nothing, _DRIVEN, small=True),
    Claim(
        "few neurons are polysemantic because few stand for anything",
        _stand_for_nothing,
        (*_COVERED, "frontier.represented"),
        small=True,
    ),
    Claim("With enough L1 every feature has its neuron", _has_its_neuron, _COVERED, small=True),
    Claim(
        "whose interference other neurons must cancel",
        _cancelled,
        (f"frontier.{ERROR}", f"frontier.driven_{COUNT}"),
    ),
    Claim("Of these pairs the stronger L1 leaves fewer", _leaves_fewer, _DRIVEN, small=True),
    Claim("Counted by |w|, relu networks look worse than linear ones", _looks_worse, (f"frontier.{COUNT}",)),
)
