from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure
from typing_extensions import override

from findings.drawing import curve, finish, panels
from findings.question import Answer, Question, Tables
from findings.statistics import interval, is_less
from findings.words import SHARED, by_threshold, means, told

_NAMES = {"cooccurrence": "independent", "pairs": "pairs", "dial": "dial, p = 0.05, groups of 8"}
_FAST = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01, "weight_decay": 0.01}}
_SMALL: dict[str, Any] = {"model.optimizer": _FAST, "trainer.max_steps": 1500}
_NARROW = {"model.n_hidden": [32]}
_ENDS = [{"data.probability": [0.004, 0.2], "data.batch_size": [500, 10]}]
_COLUMNS = SHARED | {
    "interfering collisions": "interfering",
    "rotated pairs": "rotated",
    "in the band": "polysemantic_neurons_band",
    "carriers": "carriers",
    "error": "reconstruction_error",
}
_DRAWN = ("interfering", "rotated", "coverage")


class Cooccurrence(Question):
    title = "How does the frequency of co-occurrence set the rate of polysemanticity?"
    sweeps = ("cooccurrence", "pairs", "dial", "cooccurrence_l1")
    quick: ClassVar = {
        "cooccurrence": {"overrides": _SMALL, "axes": _NARROW, "zip": _ENDS},
        "pairs": {"overrides": _SMALL | {"ensemble.vary": {"pair_probability": [0.0, 1.0]}}, "axes": _NARROW},
        "dial": {"overrides": _SMALL | {"ensemble.vary": {"dial": [-1.0, 0.5]}}, "axes": _NARROW},
        "cooccurrence_l1": {"overrides": _SMALL, "axes": {"model.l1": [0.03, 0.1]}, "zip": _ENDS},
    }

    @override
    def tell(self, tables: Tables) -> Answer:
        found = {name: _kinds(tables[name]) for name in self.sweeps}
        by = {"neurons m": "n_hidden", "expected companions": "expected_companions"}
        parts = [
            "\n\n".join([f"{name[0].upper()}{name[1:]}:", means(found[sweep], by, _COLUMNS)])
            for sweep, name in _NAMES.items()
        ]
        parts += ["By L1, m = 32:", means(found["cooccurrence_l1"], {"L1": "l1"} | by, _COLUMNS)]
        parts += ["By threshold, independent features:", by_threshold(found["cooccurrence"], by)]
        return Answer(_claim(found), "\n\n".join(parts), _meaning(found), _LIMITS)

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, axes = panels(3)
        for panel, column in zip(axes, _DRAWN, strict=True):
            for at, (m, rows) in enumerate(_kinds(tables["cooccurrence"]).groupby("n_hidden")):
                curve(panel, rows, "expected_companions", column, name=f"independent, m = {m}", at=at)
            for at, sweep in enumerate(("pairs", "dial"), start=3):
                rows = _kinds(tables[sweep])
                rows = rows[rows["n_hidden"] == rows["n_hidden"].min()]
                curve(panel, rows, "expected_companions", column, name=f"{sweep}, m = 32", at=at, dashed=True)
            finish(panel, "expected_companions", column, legend=panel is axes[0])
            panel.set_xscale("symlog", linthresh=0.1)
        axes[0].set_ylabel("interfering collisions", fontsize=8)
        axes[1].set_ylabel("rotated pairs", fontsize=8)
        axes[2].set_ylim(0, 1.05)
        return figure

    @override
    def check(self, tables: Tables) -> None:
        for name in _NAMES:
            for m, rows in _kinds(tables[name]).groupby("n_hidden"):
                least, most = _ends(rows)
                assert is_less(most["interfering"], least["interfering"]), (name, m)
                assert is_less(most["polysemantic_neurons_band"], least["polysemantic_neurons_band"]), (name, m)


def _kinds(table: pd.DataFrame) -> pd.DataFrame:
    """The table with collisions told apart: a rotated pair shares two neurons, in one with equal signs."""
    rotated = table["collisions_compensated"]
    shared = table["collisions_opposite_sign"] + table["collisions_same_sign"]
    companions = table["expected_companions"].round(3)
    return table.assign(rotated=rotated, interfering=shared - 2 * rotated, expected_companions=companions)


def _ends(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The networks with the fewest and with the most companions."""
    companions = rows["expected_companions"]
    return rows[companions == companions.min()], rows[companions == companions.max()]


def _claim(found: Tables) -> str:
    independent = found["cooccurrence"]
    narrow = independent[independent["n_hidden"] == independent["n_hidden"].min()]
    least, _ = _ends(narrow)
    gone = [companions for companions, rows in narrow.groupby("expected_companions") if _is_zero(rows)]
    rows = narrow[narrow["expected_companions"] == gone[0]]
    return (
        "Collisions that interfere go to zero while every feature is still covered: "
        f"{told(least['interfering'])} a network of 32 neurons at {least['expected_companions'].mean():.2g} expected "
        f"companions, {told(rows['interfering'])} at {gone[0]:.2g}, with coverage {rows['coverage'].mean():.2f}. What "
        "co-occurrence puts in their place are rotated pairs, two features on two neurons at 45 degrees, that do not "
        f"interfere: {told(rows['rotated'])} a network there, {told(least['rotated'])} at the least co-occurrence."
    )


def _is_zero(rows: pd.DataFrame) -> bool:
    """Whether interfering collisions are gone, and not with the features: at most one in sixteen networks."""
    return interval(rows["interfering"]).value <= 1 / 16 and rows["coverage"].mean() > 0.99


def _meaning(found: Tables) -> str:
    strong = found["cooccurrence_l1"]
    rows = strong[(strong["l1"] == strong["l1"].max()) & (strong["expected_companions"] < 1)]
    return (
        "Readers predicted that the count falls to zero with enough co-occurrence and training. It does for "
        "collisions that cost something, and coverage tells that from networks that lost their features. The rotated "
        "pairs are another kind: the threshold 0.5 counts both neurons as polysemantic, the paper's band neither, as "
        "every weight is near 0.71. L1 itself holds them: turned by d from 45 degrees, the penalty of such a pair is "
        "√2 [P(either) cos d + P(both) |sin d|] per unit of L1, a maximum at d = 0 if the two are never on together "
        "and a minimum as soon as they are, with a basin of arctan(P(both)/P(either)) on each side. Stronger L1 "
        f"shifts the balance back: at l1 = {strong['l1'].max():g} and {rows['expected_companions'].max():.2g} "
        f"companions {told(rows['interfering'])} collisions interfere, with coverage {told(rows['coverage'])}."
    )


_LIMITS = (
    "Thirty-two features, AdamW, one L1 weight but for the last sweep. Where coverage falls, at the most companions, "
    "the code is not sparse after these steps and counts there say nothing. P(j | i), the second axis, is expected "
    "companions over n - 1 for independent features and pairs, but not for the dial, whose groups are small."
)
