from __future__ import annotations

from findings.claim import Claim
from findings.question import Tables
from findings.questions.sparsification import ADAM, DESCENT, arms_of
from findings.statistics import interval, is_less

_DEPARTS = (ADAM, "IndependentBernoulli")


def _has_its_shape(tables: Tables) -> bool:
    """The slope of the law within 0.1, but for one arm, which is flatter."""
    for arm, rows in arms_of(tables["sparsification"]).items():
        gap = interval(rows["slope"] - rows["law_slope"])
        if not (gap.low > 0.05 if arm == _DEPARTS else -0.1 < gap.low < gap.high < 0.1):
            return False
    return True


def _is_behind(tables: Tables) -> bool:
    """Gradient descent below the law's pace, more so with independent features."""
    descent, independent = (
        arms_of(tables["sparsification"])[DESCENT, inputs]["clock"] for inputs in ("OneHot", "IndependentBernoulli")
    )
    return interval(descent).high < 1 and is_less(independent, descent)


def _counts_lie_above(tables: Tables) -> bool:
    arms = arms_of(tables["sparsification"])
    return all(1 < rows["count_ratio"].mean() < 3 for arm, rows in arms.items() if arm != _DEPARTS)


def _are_unequal(tables: Tables) -> bool:
    """Once they sparsify, more weights than |W|₁², which equal weights would have."""
    path = tables["sparsification_over_steps"]
    path = path[(path["optimizer"].str.startswith("SGD")) & path["l1_norm"].between(2, 15)]
    return bool((path["sparsity_count"] > 1.2 * path["l1_norm"] ** 2).all())


def _own_pace(tables: Tables) -> bool:
    arms = arms_of(tables["sparsification"])
    return is_less(arms[DESCENT, "OneHot"]["pace"], arms[ADAM, "OneHot"]["pace"])


def _have_passed(tables: Tables) -> bool:
    return all(rows["l1_norm"].mean() < 2 for rows in arms_of(tables["sparsification"]).values())


CLAIMS = (
    Claim(
        "Its shape does, except under AdamW with independent features",
        _has_its_shape,
        ("sparsification.slope", "sparsification.law_slope"),
    ),
    Claim(
        "Gradient descent runs at ... of the law's pace λt. Independent features slow it to",
        _is_behind,
        ("sparsification.clock",),
    ),
    Claim("above the law's square", _counts_lie_above, ("sparsification.count_ratio",)),
    Claim(
        "the weights of a feature are not all equal",
        _are_unequal,
        ("sparsification_over_steps.sparsity_count", "sparsification_over_steps.l1_norm"),
    ),
    Claim("AdamW on one-hot inputs walks the same course at a pace of its own", _own_pace, ("sparsification.pace",)),
    Claim("the way down to |W|₁ = 2, which all arms have behind them", _have_passed, ("sparsification.l1_norm",)),
    Claim(
        "| coverage |",
        lambda tables: bool(tables["sparsification"]["coverage"].min() == 1),
        ("sparsification.coverage",),
    ),
)
