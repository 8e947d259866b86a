from __future__ import annotations

import pandas as pd

from findings.claim import Claim
from findings.question import Tables
from findings.questions.disambiguation import at, descent_of, ends_of, stable
from findings.statistics import binomial, interval, is_less

_CONCENTRATION, _DISAMBIGUATES = "partition_concentration", "disambiguates"


def _costs_nothing(tables: Tables) -> bool:
    path = tables["disambiguation_over_steps"]
    return bool(path[path["step"] == 0]["reconstruction_error"].max() == 0)


def _stays(tables: Tables) -> bool:
    """With its neuron, in every network under little L1."""
    rows = stable(tables["disambiguation"])
    return bool(rows[_CONCENTRATION].min() > 0.95 and rows[_DISAMBIGUATES].min() == 1)


def _gives_way(tables: Tables) -> bool:
    """Under the most L1 and AdamW."""
    kept = tables["disambiguation"]
    strong = kept[(kept["l1"] == kept["l1"].max()) & (kept["optimizer"] == "AdamW")]
    return all(
        is_less(rows[_CONCENTRATION], stable(kept)[_CONCENTRATION]) and interval(rows[_CONCENTRATION]).high < 0.75
        for _, rows in strong.groupby("tied")
    )


def _points(tables: Tables) -> dict[str, pd.DataFrame]:
    """The networks from random weights that the answer compares, all at the most L1 unless they have none."""
    found = tables["disambiguation_found"]
    narrow, wide = ends_of(found)
    l1 = narrow["l1"].max()
    return {
        "tied": at(narrow, True, l1),
        "untied": at(narrow, False, l1),
        "free": at(narrow, True, 0.0),
        "middle": at(narrow, True, 0.01),
        "spare": at(wide, True, l1),
        "spare_untied": at(wide, False, l1),
        "descent": descent_of(found),
    }


def _only_where_short(tables: Tables) -> bool:
    """More often than with neurons to spare, without L1, or untied."""
    points = _points(tables)
    return all(
        is_less(points[other][_DISAMBIGUATES], points["tied"][_DISAMBIGUATES]) for other in ("spare", "free", "untied")
    )


def _by_descent_too(tables: Tables) -> bool:
    found = _points(tables)["descent"][_DISAMBIGUATES]
    return binomial(int(found.sum()), len(found)).low > 0.05


def _gathers(tables: Tables) -> bool:
    """L1 puts the partition on one neuron in narrow tied networks, which do not without."""
    points = _points(tables)
    return is_less(points["free"][_CONCENTRATION], points["tied"][_CONCENTRATION])


def _lie_across(tables: Tables) -> bool:
    """Of the other n - 1 features n/2 are in the other half."""
    middle = _points(tables)["middle"]
    n = int(middle["n_features"].iloc[0])
    collisions = middle["same_sign_within"] + middle["same_sign_across"]
    return interval(middle["same_sign_across"] - n / 2 / (n - 1) * collisions).low > 0


def _holds_without_use(tables: Tables) -> bool:
    """With neurons to spare one neuron has the partition, and no same-sign collision lies across."""
    spare = _points(tables)["spare"]
    return interval(spare[_CONCENTRATION]).low > 0.9 and is_less(spare["same_sign_across"], spare["same_sign_within"])


def _untied_spread(tables: Tables) -> bool:
    points = _points(tables)
    return all(interval(points[name][_CONCENTRATION]).high < 0.5 for name in ("untied", "spare_untied"))


_KEPT, _FOUND = "disambiguation", "disambiguation_found"
CLAIMS = (
    Claim(
        "The constructed solution is a zero of the loss",
        _costs_nothing,
        (f"{_KEPT}_over_steps.reconstruction_error",),
        small=True,
    ),
    Claim("and stays up to", _stays, (f"{_KEPT}.{_CONCENTRATION}", f"{_KEPT}.{_DISAMBIGUATES}"), small=True),
    Claim("gives way to a direction spread over many", _gives_way, (f"{_KEPT}.{_CONCENTRATION}",), small=True),
    Claim("but only where neurons are short", _only_where_short, (f"{_FOUND}.{_DISAMBIGUATES}",), small=True),
    Claim("under gradient descent in", _by_descent_too, (f"{_FOUND}.{_DISAMBIGUATES}",)),
    Claim(
        "L1 gathers what tells the halves apart on one neuron", _gathers, (f"{_FOUND}.{_CONCENTRATION}",), small=True
    ),
    Claim(
        "same-sign collisions then lie across halves more often than by chance",
        _lie_across,
        (f"{_FOUND}.same_sign_across", f"{_FOUND}.same_sign_within"),
    ),
    Claim(
        "tied networks under L1 also grow a neuron that holds the partition",
        _holds_without_use,
        (f"{_FOUND}.{_CONCENTRATION}", f"{_FOUND}.same_sign_across"),
        small=True,
    ),
    Claim("untied networks spread the direction over their neurons", _untied_spread, (f"{_FOUND}.{_CONCENTRATION}",)),
)
