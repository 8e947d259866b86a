from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure
from typing_extensions import override

from findings.drawing import curve, finish, panels
from findings.formatting import SHARED, by_threshold, means, told
from findings.networks import narrowest
from findings.question import Answer, Question, Tables
from findings.statistics import by_key, is_less

_NAMES = {"cooccurrence": "independent", "pairs": "pairs", "dial": "dial, p = 0.05, groups of 8"}
_FAST = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01, "weight_decay": 0.01}}
_SMALL: dict[str, Any] = {"data.n_features": 16, "model.optimizer": _FAST, "trainer.max_steps": 1200}
_NARROW = {"model.n_hidden": [16]}
_L1 = 0.03
_ENDS = [{"data.probability": [0.008, 0.1], "data.batch_size": [125, 10]}]
_COLUMNS = SHARED | {
    "with two whole features": "whole",
    "with parts of several": "parts",
    "rotated pairs": "collisions_compensated",
    "carriers": "carriers",
    "error": "reconstruction_error",
}
_DRAWN = {"whole": "neurons with two whole features", "parts": "neurons with parts of several", "coverage": "coverage"}


class Cooccurrence(Question):
    title = "How does the frequency of co-occurrence set the rate of polysemanticity?"
    sweeps = ("cooccurrence", "pairs", "dial")
    quick: ClassVar = {
        "cooccurrence": {"overrides": _SMALL, "axes": _NARROW | {"model.l1": [_L1]}, "zip": _ENDS},
        "pairs": {
            "overrides": _SMALL | {"ensemble.vary": {"pair_probability": [0.0, 1.0]}, "data.batch_size": 32},
            "axes": _NARROW,
        },
        "dial": {
            "overrides": _SMALL | {"ensemble.vary": {"dial": [-1.0, 0.1]}, "data.batch_size": 20},
            "axes": _NARROW,
        },
    }

    @override
    def tell(self, tables: Tables) -> Answer:
        found = _found(tables)
        by = {"neurons m": "n_hidden", "expected companions": "expected_companions"}
        parts = [
            "\n\n".join([f"{name[0].upper()}{name[1:]}:", means(found[sweep], by, _COLUMNS)])
            for sweep, name in _NAMES.items()
        ]
        parts += ["By L1, m = 32:", means(found["by_l1"], {"L1": "l1"} | by, _COLUMNS)]
        parts += ["By threshold, independent features:", by_threshold(found["cooccurrence"], by)]
        return Answer(_claim(found), "\n\n".join(parts), _meaning(found), _LIMITS)

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, axes = panels(3)
        found = _found(tables)
        for panel, (column, title) in zip(axes, _DRAWN.items(), strict=True):
            for at, (m, rows) in enumerate(found["cooccurrence"].groupby("n_hidden")):
                curve(panel, rows, "expected_companions", column, name=f"independent, m = {m}", at=at)
            for at, sweep in enumerate(("pairs", "dial"), start=3):
                curve(
                    panel,
                    narrowest(found[sweep]),
                    "expected_companions",
                    column,
                    name=f"{sweep}, m = 32",
                    at=at,
                    dashed=True,
                )
            finish(panel, "expected_companions", column, title=title, legend=panel is axes[0])
            panel.set_xscale("symlog", linthresh=0.1)
            panel.set(xlabel="expected companions", ylabel="")
        axes[2].set_ylim(0, 1.05)
        return figure

    @override
    def check(self, tables: Tables) -> None:
        found = _found(tables)
        for name in _NAMES:
            for m, rows in found[name].groupby("n_hidden"):
                least, most = _ends(rows)
                assert is_less(most["whole"], least["whole"], level=0.02), (name, m)
        least, most = _ends(found["cooccurrence"])
        assert is_less(least["parts"], most["parts"], level=0.05)


def _found(tables: Tables) -> dict[str, pd.DataFrame]:
    """The networks of each sweep at the one L1 weight that they share, and the narrowest of the first by L1."""
    found = {name: _kinds(tables[name]) for name in _NAMES}
    return found | {"cooccurrence": at_shared_l1(found["cooccurrence"]), "by_l1": narrowest(found["cooccurrence"])}


def at_shared_l1(independent: pd.DataFrame) -> pd.DataFrame:
    """The networks on independent features that have the L1 weight of those on other inputs."""
    return independent[independent["l1"] == _L1]


def _kinds(table: pd.DataFrame) -> pd.DataFrame:
    """The table with polysemantic neurons told apart: two features in the paper's band, or parts of features."""
    whole = table["polysemantic_neurons_band"]
    companions = table["expected_companions"].round(3)
    return table.assign(whole=whole, parts=table["polysemantic_neurons"] - whole, expected_companions=companions)


def _ends(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The networks with the fewest companions, and with the most at which every feature is still covered."""
    covered = {companions: group for companions, group in by_key(rows, "expected_companions") if _is_covered(group)}
    return covered[min(covered)], covered[max(covered)]


def _is_covered(rows: pd.DataFrame) -> bool:
    return rows["coverage"].mean() > 0.99


def _claim(found: Tables) -> str:
    narrow = narrowest(found["cooccurrence"])
    least, _ = _ends(narrow)
    groups = [rows for _, rows in narrow.groupby("expected_companions")]
    gone = next(rows for rows in groups if rows["whole"].max() == 0 and _is_covered(rows))
    lost = groups[-1]
    return (
        f"Neurons that carry two whole features disappear while every feature is still covered: {told(least['whole'])} "
        f"of 32 neurons at {_companions(least)} expected companions, none in {len(gone)} networks at "
        f"{_companions(gone)} (coverage {told(gone['coverage'])}). In their place come rotated pairs, two features on "
        f"two neurons at 45 degrees, which do not interfere: {told(gone['collisions_compensated'])} a network there, "
        f"{told(least['collisions_compensated'])} at the least co-occurrence. At {_companions(lost)} the count is zero "
        f"for another reason: coverage is {told(lost['coverage'])}."
    )


def _companions(rows: pd.DataFrame) -> str:
    return f"{rows['expected_companions'].mean():.2g}"


def _meaning(found: Tables) -> str:
    some = found["by_l1"][found["by_l1"]["expected_companions"].between(0.5, 1)]
    dialled = narrowest(found["dial"])
    exclusive = dialled[dialled["dial"] == dialled["dial"].min()]
    by_l1 = ", ".join(f"{told(rows['whole'])} at l1 = {l1:g}" for l1, rows in some.groupby("l1"))
    return (
        "Readers predicted that the count falls to zero with enough co-occurrence and training. It does for neurons "
        "that two whole features share, at every width, and coverage tells that from networks that lost their "
        "features. Rotated pairs are another kind: the threshold 0.5 counts both neurons, the paper's band neither, "
        "as every weight is near 0.71. L1 itself holds them: turned by d from 45 degrees, the penalty of such a pair "
        "is √2 [P(either) cos d + P(both) |sin d|] per unit of L1, a maximum at d = 0 if the two are never on "
        "together and a minimum as soon as they are, with a basin of arctan(P(both)/P(either)) on each side. More "
        "co-occurrence makes the basin wider and the blocks larger. What counts is whether the two themselves occur "
        f"together: with mutually exclusive groups, at {_companions(exclusive)} companions from other groups, "
        f"{told(exclusive['whole'])} of 32 neurons carry two whole features. Stronger L1 shifts the balance back: with "
        f"{_companions(some)} companions {by_l1}."
    )


_LIMITS = (
    "Thirty-two features, AdamW, one training length, and one L1 weight but for independent features. Where coverage "
    "falls, at the most companions, the code is not sparse after these steps and counts there say nothing. P(j | i), "
    "the second axis, is expected companions over n - 1 for independent features and pairs, but not for the dial, "
    "whose groups are small."
)
