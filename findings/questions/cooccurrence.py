from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure
from typing_extensions import override

from findings.drawing import curve, finish, panels
from findings.networks import COUNTS
from findings.question import Answer, Question, Tables
from findings.statistics import interval, is_less
from findings.words import SHARED, by_threshold, means, told

_NAMES = {"cooccurrence": "independent", "pairs": "pairs", "dial": "dial, p = 0.05, groups of 8"}
_FAST = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01, "weight_decay": 0.01}}
_SMALL: dict[str, Any] = {"data.n_features": 32, "model.optimizer": _FAST, "model.l1": 0.003, "trainer.max_steps": 1000}


class Cooccurrence(Question):
    title = "How does the frequency of co-occurrence set the rate of polysemanticity?"
    sweeps = ("cooccurrence", "pairs", "dial", "cooccurrence_l1")
    quick: ClassVar = {
        "cooccurrence": {
            "overrides": _SMALL,
            "axes": {"model.n_hidden": [32]},
            "zip": [{"data.probability": [0.01, 0.2], "data.batch_size": [400, 20]}],
        },
        "pairs": {
            "overrides": _SMALL | {"ensemble.vary": {"pair_probability": [0.0, 1.0]}},
            "axes": {"model.n_hidden": [32]},
        },
        "dial": {"overrides": _SMALL | {"ensemble.vary": {"dial": [-1.0, 0.5]}}, "axes": {"model.n_hidden": [32]}},
    }

    @override
    def tell(self, tables: Tables) -> Answer:
        independent = tables["cooccurrence"]
        by = {"neurons m": "n_hidden", "expected companions": "expected_companions"}
        columns = SHARED | {
            "represented": "represented",
            "carriers": "carriers",
            "opposite sign": "collisions_opposite_sign",
            "same sign": "collisions_same_sign",
            "error": "reconstruction_error",
        }
        parts = []
        for name in self.sweeps:
            parts += [
                f"{_NAMES[name].capitalize()}:",
                means(tables[name].round({"expected_companions": 3}), by, columns),
            ]
        parts += ["By threshold, independent features:", by_threshold(independent, by)]
        return Answer(
            claim=_claim(independent),
            numbers="\n\n".join(parts),
            meaning="",
            limits="",
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, (left, right) = panels(2)
        for at, (m, rows) in enumerate(tables["cooccurrence"].groupby("n_hidden")):
            curve(left, rows, "expected_companions", "polysemantic_neurons", name=f"m = {m}", at=at)
            curve(right, rows, "expected_companions", "coverage", name=f"m = {m}", at=at)
        for at, name in enumerate(("pairs", "dial")):
            rows = tables[name][tables[name]["n_hidden"] == tables[name]["n_hidden"].min()]
            for axes, column in ((left, "polysemantic_neurons"), (right, "coverage")):
                curve(axes, rows, "expected_companions", column, name=f"{_NAMES[name]}, m = 32", at=3 + at, dashed=True)
        for axes, column in ((left, "polysemantic_neurons"), (right, "coverage")):
            finish(axes, "expected_companions", column, legend=axes is left)
            axes.set_xscale("symlog", linthresh=0.1)
        right.set_ylim(0, 1.05)
        return figure

    @override
    def check(self, tables: Tables) -> None:
        for name in self.sweeps:
            for _, rows in tables[name].groupby("n_hidden"):
                least, most = _ends(rows)
                for count, _ in COUNTS.values():
                    assert is_less(most[count], least[count]), (name, count)


def _ends(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The networks with the fewest and with the most companions."""
    companions = rows["expected_companions"].round(6)
    return rows[companions == companions.min()], rows[companions == companions.max()]


def _claim(independent: pd.DataFrame) -> str:
    least, most = _ends(independent[independent["n_hidden"] == independent["n_hidden"].min()])
    return (
        f"{told(least['polysemantic_neurons'])} of 32 neurons are polysemantic at {least['expected_companions'].mean():.2g} "
        f"expected companions and {told(most['polysemantic_neurons'])} at {most['expected_companions'].mean():.2g}, where "
        f"coverage is {interval(most['coverage'])}."
    )
