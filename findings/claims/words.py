from __future__ import annotations

import pandas as pd

from findings.claim import Claim
from findings.networks import COUNTS, narrowest
from findings.question import Tables
from findings.questions.cooccurrence import at_shared_l1
from findings.questions.words import NEVER, PARTS_LIFT, WHOLE_NEVER, nearest, nearest_dial
from findings.statistics import interval, is_less

_COUNT = "polysemantic_neurons"


def _curve_there(tables: Tables) -> pd.DataFrame:
    companions = narrowest(tables["words"])["expected_companions"].mean()
    return nearest(narrowest(at_shared_l1(tables["cooccurrence"])), companions)


def _above_the_curve(tables: Tables) -> bool:
    return is_less(_curve_there(tables)[_COUNT], narrowest(tables["words"])[_COUNT])


def _more_than_shuffled(tables: Tables) -> bool:
    """By every threshold, and covered."""
    real, shuffled = narrowest(tables["words"]), narrowest(tables["words_shuffled"])
    return all(
        is_less(shuffled[count], real[count]) and real[covered].mean() > 0.99 for count, covered in COUNTS.values()
    )


def _come_in_topics(tables: Tables) -> bool:
    """More pairs never meet than among words shuffled."""
    return bool(tables["words"][NEVER].min() > 0.05 + tables["words_shuffled"][NEVER].max())


def _never_meet(tables: Tables) -> bool:
    """Most pairs of two whole words on one neuron, of all pairs few."""
    real = narrowest(tables["words"])
    return interval(real[WHOLE_NEVER]).low > 0.7 and bool(real[NEVER].max() < 0.3)


def _rotated_meet(tables: Tables) -> bool:
    return interval(narrowest(tables["words"])[PARTS_LIFT]).low > 1.5


def _same_in_groups(tables: Tables) -> bool:
    """Mutually exclusive groups collide more, with no more companions than text has."""
    exclusive, there = nearest_dial(tables), _curve_there(tables)
    fewer = exclusive["expected_companions"].mean() <= there["expected_companions"].mean()
    return fewer and is_less(there[_COUNT], exclusive[_COUNT])


CLAIMS = (
    Claim("Text lies above the curve", _above_the_curve, (f"words.{_COUNT}", f"cooccurrence.{_COUNT}")),
    Claim(
        "with each word in as many sentences as before but chosen at random",
        _more_than_shuffled,
        (f"words.{_COUNT}", f"words_shuffled.{_COUNT}", "words.coverage"),
    ),
    Claim(
        "Words come in topics: ... never occur together", _come_in_topics, (f"words.{NEVER}", f"words_shuffled.{NEVER}")
    ),
    Claim(
        "Of the pairs that share a neuron as two whole words ... never does",
        _never_meet,
        (f"words.{WHOLE_NEVER}", f"words.{NEVER}"),
    ),
    Claim("The other pairs on one neuron, rotated ones, occur together", _rotated_meet, (f"words.{PARTS_LIFT}",)),
    Claim(
        "The same shows in question 2 where features exclude one another in groups",
        _same_in_groups,
        (f"dial.{_COUNT}", f"cooccurrence.{_COUNT}"),
    ),
)
