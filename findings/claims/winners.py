from __future__ import annotations

import pandas as pd

from findings.claim import Claim
from findings.question import Tables
from findings.questions.winners import LARGEST, count_ratios, ends_of
from findings.statistics import interval, is_less


def _ends(tables: Tables, optimizer: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    small = tables["width_by_optimizer"]
    (_, narrow), (_, wide) = ends_of(small[small["optimizer"].str.startswith(optimizer)])
    return narrow, wide


def _more_often(tables: Tables) -> bool:
    narrow, wide = _ends(tables, "SGD")
    return is_less(narrow[LARGEST], wide[LARGEST])


def _hardly(tables: Tables) -> bool:
    """Less than under gradient descent, and ever less with width."""
    (narrow, wide), (_, descent) = _ends(tables, "AdamW"), _ends(tables, "SGD")
    return is_less(wide[LARGEST], descent[LARGEST]) and wide[LARGEST].mean() <= narrow[LARGEST].mean() < 0.5


def _keeps_sign(tables: Tables) -> bool:
    return all(tables[name]["winner_kept_sign"].mean() > 0.9 for name in ("width", "width_by_optimizer"))


def _alike(tables: Tables) -> bool:
    return bool(count_ratios(tables["width_by_optimizer"]).between(0.5, 2.5).all())


def _not_the_largest(tables: Tables) -> bool:
    table = tables["width"]
    return interval(table[table["n_hidden"] == table["n_hidden"].max()][LARGEST]).high < 0.01


_OURS = f"width_by_optimizer.{LARGEST}"
CLAIMS = (
    Claim("Under gradient descent often, and the more the wider the network", _more_often, (_OURS,), small=True),
    Claim("under AdamW hardly", _hardly, (_OURS,), small=True),
    Claim(
        "Under both the winner keeps its initial sign",
        _keeps_sign,
        ("width.winner_kept_sign", "width_by_optimizer.winner_kept_sign"),
        small=True,
    ),
    Claim("The counts of question 1 hardly tell the two apart", _alike, ("width_by_optimizer.polysemantic_neurons",)),
    Claim("not under AdamW: at n = 256, m = 4096 the largest wins in", _not_the_largest, (f"width.{LARGEST}",)),
)
