from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from findings.claim import Claim
from findings.question import Tables
from findings.questions.lives import FATES, KINDS, by_rival, done, finished, of, share_of
from findings.statistics import is_less


def _each(holds: Callable[[pd.DataFrame], bool], kind: str = KINDS[0]) -> Callable[[Tables], bool]:
    """Whether it holds for the lives of a kind under each optimiser."""

    def all_hold(tables: Tables) -> bool:
        lives = finished(tables)
        lives = lives[lives["kind_at_birth"] == kind]
        return all(holds(rows) for _, rows in lives.groupby("name"))

    return all_hold


def _ended(lives: pd.DataFrame) -> pd.DataFrame:
    return lives[lives["fate"] != FATES[0]]


def _end_early(lives: pd.DataFrame) -> bool:
    ended = _ended(lives)
    return share_of(ended, ended["fate"] == FATES[1]).low > 0.8


def _stay(lives: pd.DataFrame) -> bool:
    settled = lives[lives["settled"]]
    return share_of(settled, settled["fate"] == FATES[0]).low > 0.8


def _cost_nothing(lives: pd.DataFrame) -> bool:
    return of(_ended(lives), "costly", "lives").high < 0.1


def _one_leaves(lives: pd.DataFrame) -> bool:
    return of(_ended(lives), "one_left", "lives").low > 0.9


def _hardly_the_weaker(lives: pd.DataFrame) -> bool:
    weaker = of(_ended(lives), "weaker_left", "one_left")
    return 0.3 < weaker.low < weaker.high < 0.7


def _more_beside_a_rival(lives: pd.DataFrame) -> bool:
    rival, alone = (share_of(group, group["fate"] != FATES[0]) for group in by_rival(lives))
    return rival.low > alone.high


def _l1_sets_when(lives: pd.DataFrame) -> bool:
    by_l1 = [group for _, group in lives.groupby("l1")]
    shares = [share_of(group, group["fate"] != FATES[0]).value for group in by_l1]
    return max(shares) - min(shares) < 0.15 and is_less(by_l1[-1]["born_step"], by_l1[0]["born_step"])


def _all_end(lives: pd.DataFrame) -> bool:
    return share_of(lives, lives["fate"] != FATES[0]).low > 0.9


def _has_its_own(tables: Tables) -> bool:
    """Every feature ends on a neuron, and on hardly more than one."""
    kept = done(tables["lives"])
    return kept["coverage"].min() > 0.95 and kept["carriers"].mean() < 1.03


_FATE = ("lives_by_fate.fate",)
CLAIMS = (
    Claim("end before both weights have reached 0.7", _each(_end_early), _FATE, small=True),
    Claim("and of those that settle ... stay", _each(_stay), _FATE, small=True),
    Claim("They do not end because they cost", _each(_cost_nothing), ("lives_by_fate.costly",), small=True),
    Claim("end because one feature leaves", _each(_one_leaves), ("lives_by_fate.one_left",), small=True),
    Claim(
        "the leaver is not lost: coverage is ... at the end",
        _has_its_own,
        ("lives.coverage", "lives.carriers"),
        small=True,
    ),
    Claim(
        "Which of the two leaves is hardly told by the weights at initialisation",
        _each(_hardly_the_weaker),
        ("lives_by_fate.weaker_left",),
        small=True,
    ),
    Claim("Beside a third feature of the same sign", _each(_more_beside_a_rival), _FATE, small=True),
    Claim(
        "L1 sets when they end and hardly how many do", _each(_l1_sets_when), ("lives_by_fate.born_step",), small=True
    ),
    Claim("Of same-sign collisions ... end", _each(_all_end, KINDS[1]), _FATE, small=True),
)
