from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
from matplotlib.figure import Figure
from typing_extensions import override

from findings.drawing import curve, finish, panels
from findings.formatting import SHARED, by_threshold, means, told
from findings.networks import LATE, narrowest
from findings.question import Answer, Question, Tables, together
from findings.statistics import by_key, interval

_NAMES = {"cooccurrence": "independent", "pairs": "pairs", "dial": "dial, p = 0.05, groups of 8"}
_FAST = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01, "weight_decay": 0.01}}
_SMALL: dict[str, Any] = {"data.n_features": 16, "model.optimizer": _FAST, "trainer.max_steps": 1200}
_NARROW = {"model.n_hidden": [16]}
_L1 = 0.03
_ENDS = [{"data.probability": [0.008, 0.1], "data.batch_size": [125, 10]}]
_BATCH = 128  # of configs/findings/dense.yaml
_COLUMNS = SHARED | {
    "with two whole features": "whole",
    "with parts of several": "parts",
    "rotated pairs": "collisions_compensated",
    "carriers": "carriers",
    "represented": "represented",
    "participation ratio": "participation_ratio",
    "error": "reconstruction_error",
}
_SPREAD = {
    "coverage": "coverage",
    "represented": "represented",
    "privilege": "privilege",
    "z": "privilege_z",
    "participation ratio": "participation_ratio",
    "error": "reconstruction_error",
}
_DRAWN = {"whole": "neurons with two whole features", "parts": "neurons with parts of several", "coverage": "coverage"}


class Cooccurrence(Question):
    title = "How does the frequency of co-occurrence set the rate of polysemanticity?"
    sweeps = ("cooccurrence", "pairs", "dial", "dense", "dense_without_l1")
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
        "dense": None,
        "dense_without_l1": None,
    }

    @override
    def tell(self, tables: Tables) -> Answer:
        found = found_in(tables)
        by = {"neurons m": "n_hidden", "expected companions": "expected_companions"}
        parts = [
            "\n\n".join([f"{name[0].upper()}{name[1:]}:", means(found[sweep], by, _COLUMNS)])
            for sweep, name in _NAMES.items()
        ]
        parts += ["By L1, m = 32:", means(found["by_l1"], {"L1": "l1"} | by, _COLUMNS)]
        dense = pd.concat([found["dense"], found["dense_without_l1"].assign(l1=0.0)])
        parts += [f"Independent, batches of {_BATCH}:", means(dense, {"L1": "l1"} | by, _SPREAD)]
        parts += ["By threshold, independent features:", by_threshold(found["cooccurrence"], by)]
        gone, spread = gone_of(found), densest(found["by_l1"])
        rests_on = [found[name] for name in ("all", "pairs", "dial", "dense", "dense_without_l1")]
        networks = pd.concat(rests_on)
        return Answer(
            short=(
                f"Neurons with two whole features are gone by {_companions(gone)} expected companions; at "
                f"{_companions(spread)} every feature is spread over many neurons, the more the stronger L1 is."
            ),
            claim=_claim(found),
            networks=together(*rests_on),
            numbers="\n\n".join(parts),
            meaning=_meaning(found),
            limits=_LIMITS,
            unconverged=_unconverged(networks),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, axes = panels(3)
        found = found_in(tables)
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


def found_in(tables: Tables) -> dict[str, pd.DataFrame]:
    """The networks of each sweep at the one L1 weight that they share, the narrowest of the first by L1, the dense."""
    found = {name: _kinds(tables[name]) for name in (*_NAMES, "dense", "dense_without_l1") if name in tables}
    independent = found["cooccurrence"]
    return found | {"cooccurrence": at_shared_l1(independent), "by_l1": narrowest(independent), "all": independent}


def at_shared_l1(independent: pd.DataFrame) -> pd.DataFrame:
    """The networks on independent features that have the L1 weight of those on other inputs."""
    return independent[independent["l1"] == _L1]


def _kinds(table: pd.DataFrame) -> pd.DataFrame:
    """The table with polysemantic neurons told apart: two features in the paper's band, or parts of features."""
    whole = table["polysemantic_neurons_band"]
    companions = table["expected_companions"].round(3)
    return table.assign(whole=whole, parts=table["polysemantic_neurons"] - whole, expected_companions=companions)


def ends_of(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The networks with the fewest companions, and with the most at which every feature is still covered."""
    covered = {companions: group for companions, group in by_key(rows, "expected_companions") if _is_covered(group)}
    return covered[min(covered)], covered[max(covered)]


def _is_covered(rows: pd.DataFrame) -> bool:
    return rows["coverage"].mean() > 0.99


def gone_of(found: Tables) -> pd.DataFrame:
    """The narrow networks with the fewest companions of which none has a neuron with two whole features."""
    groups = [rows for _, rows in narrowest(found["cooccurrence"]).groupby("expected_companions")]
    return next(rows for rows in groups if rows["whole"].max() == 0 and _is_covered(rows))


def densest(rows: pd.DataFrame) -> pd.DataFrame:
    """The networks with the most companions."""
    found: pd.DataFrame = rows[rows["expected_companions"] == rows["expected_companions"].max()]
    return found


def l1_ends(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The networks under the least L1 and under the most."""
    return rows[rows["l1"] == rows["l1"].min()], rows[rows["l1"] == rows["l1"].max()]


def turn_of(found: Tables) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The networks under L1 at the last density at which it covers every feature, at the next, and there without L1."""
    dense, free = found["dense"], found["dense_without_l1"]
    covers = max(p for p, rows in by_key(dense, "probability") if _is_covered(rows))
    turned = dense[dense["probability"] > covers]["probability"].min()
    below, above = (dense[dense["probability"] == p] for p in (covers, turned))
    return below, above, free[free["probability"] == turned]


def exclusive_of(found: Tables) -> pd.DataFrame:
    """The narrow networks on groups of features that exclude one another."""
    dialled = narrowest(found["dial"])
    rows: pd.DataFrame = dialled[dialled["dial"] == dialled["dial"].min()]
    return rows


def _companions(rows: pd.DataFrame) -> str:
    return f"{rows['expected_companions'].mean():.2g}"


def _claim(found: Tables) -> str:
    least, _ = ends_of(narrowest(found["cooccurrence"]))
    gone, spread = gone_of(found), densest(found["by_l1"])
    below, above, free = turn_of(found)
    by_l1 = {l1: str(interval(rows["privilege_z"])) for l1, rows in by_key(above, "l1")}
    return (
        f"Neurons that carry two whole features disappear while every feature is still covered: {told(least['whole'])} "
        f"of 32 neurons at {_companions(least)} expected companions, none in {len(gone)} networks at "
        f"{_companions(gone)} (coverage {told(gone['coverage'])}). In their place come rotated pairs, two features on "
        f"two neurons at 45 degrees, which do not interfere: {told(gone['collisions_compensated'])} a network there, "
        f"{told(least['collisions_compensated'])} at the least co-occurrence. At {_companions(spread)} the count is "
        f"zero for another reason: no neuron stands for a feature (coverage {told(spread['coverage'])}). The features "
        f"are all represented ({told(spread['represented'])}), each spread over many neurons, and stronger L1 does not "
        f"gather them: with {_BATCH} inputs a step, under L1 = {' and '.join(f'{l1:g}' for l1 in by_l1)} alike, "
        f"coverage is {told(below['coverage'])} at p = {below['probability'].iloc[0]:g} and {told(above['coverage'])} "
        f"at {above['probability'].iloc[0]:g}. Above that density L1 acts against neurons: the basis is less aligned "
        f"with them under L1 (z {' and '.join(by_l1.values())}) than without (z {interval(free['privilege_z'])}), and "
        f"a feature lies on {told(above['participation_ratio'])} neurons instead of "
        f"{told(free['participation_ratio'])}."
    )


def _unconverged(networks: pd.DataFrame) -> str:
    """What the others are: spread codes, which the criterion excludes, and the rest."""
    others = networks[networks["converged_step"].isna()]
    spread = others[others["privilege"] < 0.5]
    return (
        f"{len(spread) / len(others):.0%} of the others have a privilege below 0.5, which the criterion takes for a "
        f"plateau; with {_BATCH} inputs a step the fourth norm of such networks changed by "
        f"{100 * spread[LATE].mean():+.0f} % on average in the second half of training, away from neurons"
    )


def _meaning(found: Tables) -> str:
    some = found["by_l1"][found["by_l1"]["expected_companions"].between(0.5, 1)]
    exclusive = exclusive_of(found)
    by_l1 = ", ".join(f"{told(rows['whole'])} at l1 = {l1:g}" for l1, rows in some.groupby("l1"))
    return (
        "Readers predicted that the count falls to zero with enough co-occurrence and training. It does for neurons "
        "that two whole features share, at every width. Rotated pairs are another kind: the threshold 0.5 counts both "
        "neurons, the paper's band neither, as every weight is near 0.71. L1 itself holds them: turned by d from 45 "
        "degrees, the penalty of such a pair is √2 [P(either) cos d + P(both) |sin d|] per unit of L1, a maximum at "
        "d = 0 if the two are never on together and a minimum as soon as they are, with a basin of "
        "arctan(P(both)/P(either)) on each side. More co-occurrence makes the basin wider, and features lie on more "
        "neurons (participation ratio). What counts is whether the two themselves occur together: with mutually "
        f"exclusive groups, at {_companions(exclusive)} companions from other groups, {told(exclusive['whole'])} of 32 "
        "neurons carry two whole features. Where features are seldom on together, stronger L1 shifts the balance "
        f"back: with {_companions(some)} companions {by_l1}. That L1 does not gather dense features is no effect of "
        f"small batches: with {_BATCH} inputs a step, {_turn(found)}. Wide networks keep some alignment at "
        f"{_companions(densest(found['all']))} companions, and less of it under more L1: {_by_width(found)}."
    )


def _turn(found: Tables) -> str:
    """How aligned narrow networks are by density and L1."""
    dense = narrowest(found["dense"])
    return "; ".join(
        f"at p = {p:g} z is "
        + " and ".join(f"{interval(rows['privilege_z'])} (L1 = {l1:g})" for l1, rows in group.groupby("l1"))
        for p, group in dense.groupby("probability")
    )


def _by_width(found: Tables) -> str:
    """The privilege of wider networks at the most companions, under the least L1 and the most."""
    wide = densest(found["all"])
    ends = {m: l1_ends(rows) for m, rows in wide[wide["n_hidden"] > wide["n_hidden"].min()].groupby("n_hidden")}
    return ", ".join(
        f"privilege {interval(weak['privilege'])} and {interval(strong['privilege'])} at m = {m}"
        for m, (weak, strong) in ends.items()
    )


_LIMITS = (
    "Thirty-two features, AdamW, and one L1 weight but for independent features. Networks on dense features in small "
    "batches are told as they are after 6000 steps. Where the turn lies, and how it goes with L1 and width, was not "
    "searched for here. Where coverage falls, at the most companions, counts of "
    "polysemantic neurons say nothing. P(j | i), the second axis, is expected companions over n - 1 for independent "
    "features and pairs, but not for the dial, whose groups are small."
)
