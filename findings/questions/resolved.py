from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from typing_extensions import override

from findings.drawing import curve, finish, panels
from findings.formatting import SHARED, against, by_threshold, markdown, means, told
from findings.measured import measured
from findings.question import Answer, Question, Tables, together
from findings.statistics import binomial, interval
from findings.survival import ORIGINS, ended_of, survival_curves
from polysemantic.report.labels import PALETTE
from polysemantic.results.runs import Run
from polysemantic.results.sweeps import CELLS

_POINT = ["name", "magnitude", "probability", "l1"]
_BY = {"optimiser": "name", "magnitude": "magnitude", "expected companions": "expected_companions", "L1": "l1"}
ALIVE = "formed_alive"
# A count of networks that cover less of their features says nothing about collisions.
COVERED = 0.95
_CARRIERS = 1.1
# L1 under which the collisions formed (configs/collisions.yaml).
_L1 = 0.001
_SETTLED = SHARED | {"carriers": "carriers", "had formed": "formed", "of these alive": ALIVE}
_LATE = ("resolved", "resolved_converged")
_ADAMW = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01, "weight_decay": 0.01}}
_SMALL: dict[str, Any] = {"data.n_features": 32, "model.n_hidden": 32, "model.optimizer": _ADAMW}
_CUT: dict[str, Any] = {
    "overrides": _SMALL | {"data.probability": 0.2, "data.batch_size": 10, "trainer.max_steps": 1500},
    "axes": {"model.l1": [0.1, 0.2], "data.probability": [0.2]},
    "zip": [],
}


class Resolved(Question):
    title = "Does co-occurrence prevent collisions or resolve them once they have formed?"
    sweeps = ("one_hot_first", "prevented", "resolved", "resolved_converged")
    quick: ClassVar = {
        "one_hot_first": {"overrides": _SMALL | {"model.l1": 0.01, "trainer.max_steps": 1000}},
        "prevented": _CUT,
        "resolved": _CUT | {"overrides": _CUT["overrides"] | {"trainer.max_steps": 1000}},
        "resolved_converged": _CUT | {"overrides": _CUT["overrides"] | {"trainer.max_steps": 500}},
    }

    @override
    def prepare(self, sweep: str, done: Mapping[str, Path]) -> dict[str, Any]:
        if sweep not in _LATE:
            return {}
        (cell,) = (done["one_hot_first"] / CELLS).iterdir()
        return {"model.init_from": str(cell / "checkpoints" / "last.ckpt")}

    @override
    def gather(self, sweep: str, directory: Path) -> Tables:
        if sweep not in _LATE:
            return super().gather(sweep, directory)
        if sweep != "resolved":
            return {sweep: measured(directory, _formed)}
        return {sweep: measured(directory, _formed), "resolved_survival": survival_curves(directory)}

    @override
    def tell(self, tables: Tables) -> Answer:
        first, prevented, resolved, settled = (named(tables[name]) for name in self.sweeps)
        there, kept = fewest_and_late(prevented, settled)
        magnitude, probability, l1 = (there[name].iloc[0] for name in ("magnitude", "probability", "l1"))
        sure = settled[settled["probability"] == probability]
        bare, held = spread_and_late(prevented, resolved)
        return Answer(
            short=(
                f"It prevents them ({there['polysemantic_neurons'].mean():.2g} instead of "
                f"{first['polysemantic_neurons'].mean():.3g}); of those that had formed {_ended(sure)} ended."
            ),
            networks=together(there, sure),
            claim=(
                f"It prevents them; of those that had formed {_ended(sure)} ended. "
                f"With features on at p = {probability:g} ({there['expected_companions'].mean():.2g} expected "
                f"companions), magnitude {magnitude} and L1 = {l1:g}, {told(there['polysemantic_neurons'])} neurons "
                "are polysemantic if the features occur together from the first step, and "
                f"{told(kept['polysemantic_neurons'])} if they do after collisions have formed "
                f"({told(first['polysemantic_neurons'])} before), at coverage {told(there['coverage'])} and "
                f"{told(kept['coverage'])}."
            ),
            numbers="\n\n".join(
                [
                    "After collisions have formed, with smaller steps and a feature on four times a step:",
                    means(settled, _BY, _SETTLED),
                    "From the first step and after collisions have formed, with a feature on once a step:",
                    _beside(prevented, resolved),
                    "Survival of the collisions that had formed, and of those born later, at the strongest L1:",
                    _survivors(_strong(named(tables["resolved_survival"]))),
                    "Where training started (one-hot input):",
                    means(first, {"neurons m": "n_hidden"}, SHARED | {"carriers": "carriers"}),
                    "By threshold, from the first step:",
                    by_threshold(prevented, _BY),
                    "By threshold, after collisions have formed:",
                    by_threshold(resolved, _BY),
                ]
            ),
            meaning=(
                f"{_how_many_ended(settled)} At p = "
                f"{settled['probability'].max():g} few of these had converged, and {_ended(densest(settled))} ended "
                "there. In the larger grid of inputs, of which only "
                f"{resolved['converged_step'].notna().mean():.0%} had converged, {_ended(resolved)} of "
                f"{resolved['formed'].sum():g} ended. So the end depends on the history. To leave a shared neuron a "
                "feature has to put weight on a second one: L1 charges for that in proportion, while the gain, on "
                "inputs with both on, grows with the square of it. So under any L1 no small step leaves a collision "
                "that has formed, whatever it costs. Coverage has a history too: at "
                f"{len(bare)} grid points training from the first step leaves fewer than half of the features with a "
                f"neuron (coverage {_over(bare, 'coverage')}). These features are not lost: "
                f"{_over(bare, 'represented')} of them are represented, each spread over "
                f"{_over(bare, 'participation_ratio')} neurons, so that a count of polysemantic neurons near zero says "
                "nothing there. Networks whose collisions had formed keep coverage "
                f"{_over(held, 'coverage')} and {_over(held, 'polysemantic_neurons')} polysemantic neurons under the "
                "same inputs."
            ),
            limits=(
                f"{settled['step'].max()} steps. The grid points with a feature on once a step have hardly converged: "
                "weak L1 has not finished to sparsify from the first step there (see carriers). Collisions formed "
                f"under one-hot input at L1 = {_L1:g}; survival at a fixed step is confounded with how fast training "
                "goes, so final counts stand beside it. m = n only."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, axes = panels(3)
        prevented, resolved = (named(tables[name]) for name in ("prevented", "resolved"))
        for at, (name, table) in enumerate((("from the first step", prevented), ("after collisions formed", resolved))):
            rows = _strong(table[(table["name"] == "AdamW") & (table["magnitude"] == "one")])
            for panel, column in zip(axes, ("polysemantic_neurons", "coverage"), strict=False):
                curve(panel, rows, "expected_companions", column, name=name, at=at)
                finish(panel, "expected_companions", column, legend=column == "coverage", scales={"x": "log"})
                panel.set_ylim(0)
        survival = _strong(named(tables["resolved_survival"]))
        chosen = survival[
            (survival["name"] == "AdamW")
            & (survival["magnitude"] == "one")
            & (survival["origin"] == ORIGINS[0])
            & (survival["kind_at_birth"] == "opposite_sign")
        ]
        for at, (probability, rows) in enumerate(chosen.groupby("probability")):
            axes[2].step(
                [0, *rows["life"]],
                [1, *rows["survival"]],
                where="post",
                color=PALETTE[at],
                label=f"p = {probability:g}",
            )
        finish(axes[2], "life", "survival", title="collisions that had formed")
        axes[2].set_ylim(0, 1.02)
        return figure


def _formed(run: Run) -> Mapping[str, Tensor]:
    """Collisions that were there at the start, and those of them that are alive."""
    assert run.collisions is not None
    there = run.collisions[run.collisions["born_step"] == 0]
    alive = there[there["resolved_step"].isna()]
    return {
        name: torch.from_numpy(np.bincount(rows["instance"], minlength=len(run.results)))
        for name, rows in (("formed", there), (ALIVE, alive))
    }


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Optimisers by name, columns that are left out where all values are the same, companions without rounding."""
    known = {"magnitude": "one", "expected_companions": 0.0, "converged_step": np.nan} | dict(table)
    companions = pd.Series(known["expected_companions"], table.index).round(3)
    return table.assign(
        name=table["optimizer"].str.partition("(")[0] if "optimizer" in table else "AdamW",
        magnitude=known["magnitude"],
        converged_step=known["converged_step"],
        expected_companions=companions,
    )


def points(table: pd.DataFrame) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The grid points of a table and their networks."""
    return iter(table.groupby(_POINT))


def _any_diverged(rows: pd.DataFrame) -> bool:
    return "diverged_step" in rows and bool(rows["diverged_step"].notna().any())


def covered(table: pd.DataFrame) -> dict[tuple[Any, ...], pd.DataFrame]:
    """Grid points whose networks cover their features, each on one neuron, and of which none diverged."""
    return {
        point: rows
        for point, rows in points(table)
        if rows["coverage"].mean() > COVERED and rows["carriers"].mean() < _CARRIERS and not _any_diverged(rows)
    }


def fewest_and_late(prevented: pd.DataFrame, late: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Covered networks with the fewest polysemantic neurons from the first step on, and late ones on such inputs.

    If there are, those that converged.
    """
    there = covered(prevented)
    there = {point: rows for point, rows in there.items() if rows["converged_step"].notna().mean() >= 0.9} or there
    beside = dict(points(late))
    best = min(there.keys() & beside, key=lambda point: there[point]["polysemantic_neurons"].mean())
    return there[best], beside[best]


def spread_and_late(prevented: pd.DataFrame, resolved: pd.DataFrame) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Grid points at which few features have a neuron if training starts there, and the late ones beside them."""
    late = dict(points(resolved))
    spread = [(point, rows) for point, rows in points(prevented) if rows["coverage"].mean() < 0.5]
    return [rows for _, rows in spread], [late[point] for point, _ in spread]


def _fewest(table: pd.DataFrame) -> pd.DataFrame:
    """The grid point at which the smallest share of formed collisions is alive."""
    return min((rows for _, rows in points(table)), key=lambda rows: rows[ALIVE].sum() / rows["formed"].sum())


def _share_alive(table: pd.DataFrame) -> str:
    share = interval(table[ALIVE] / table["formed"])
    return f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"


def _none_ended(table: pd.DataFrame) -> bool:
    return bool((table[ALIVE] == table["formed"]).all())


def densest(table: pd.DataFrame) -> pd.DataFrame:
    """The networks on the densest features."""
    rows: pd.DataFrame = table[table["probability"] == table["probability"].max()]
    return rows


def _ended(table: pd.DataFrame) -> str:
    return str(int((table["formed"] - table[ALIVE]).sum()) or "none")


def _how_many_ended(table: pd.DataFrame) -> str:
    starts = table["seed"].nunique()
    if _none_ended(table):
        lost = binomial(0, starts)
        return (
            f"None of {table['formed'].sum():g} collisions that had formed ended, in {len(table)} networks that go on "
            f"from {starts} (by the exact binomial interval fewer than {lost.high:.1%} of such networks lose one)."
        )
    return (
        f"Of {told(table['formed'])} collisions a network that had formed, {_share_alive(table)} are alive at the end "
        f"over all grid points, and {_share_alive(_fewest(table))} at the one with the fewest."
    )


def _over(points: list[pd.DataFrame], column: str) -> str:
    return told(pd.concat(points)[column]) if points else "-"


def _beside(prevented: pd.DataFrame, resolved: pd.DataFrame) -> str:
    """Both ends beside one another at each grid point."""
    late = dict(points(resolved))
    rows = []
    for point, early in points(prevented):
        name, magnitude, probability, l1 = point
        count = [table["polysemantic_neurons"] for table in (early, late[point])]
        rows.append(
            [
                *(name, magnitude, f"{probability:g}", f"{early['expected_companions'].mean():.3g}", f"{l1:g}"),
                *(str(len(early)), told(count[0]), told(early["coverage"]), told(early["carriers"])),
                *(told(count[1]), told(late[point]["coverage"]), told(late[point]["carriers"])),
                *(against(count[1], count[0]), told(late[point]["formed"]), told(late[point][ALIVE])),
            ]
        )
    headings = ["optimiser", "magnitude", "p", "companions", "L1", "networks"]
    headings += ["from the first step", "coverage", "carriers", "after formation", "coverage", "carriers"]
    return markdown(rows, [*headings, "difference", "had formed", "of these alive"], left=2)


def _survivors(survival: pd.DataFrame) -> str:
    """How many lives there were, and the share alive at the end by Kaplan-Meier."""
    rows = [
        [*(str(value) if isinstance(value, str) else f"{value:g}" for value in point), *ended_of(lives)]
        for point, lives in survival.groupby([*_POINT, "origin", "kind_at_birth"])
    ]
    headings = ["optimiser", "magnitude", "p", "L1", "born", "kind at birth", "lives", "ended", "share that outlives"]
    return markdown(rows, headings, left=6)


def _strong(table: pd.DataFrame) -> pd.DataFrame:
    rows: pd.DataFrame = table[table["l1"] == table["l1"].max()]
    return rows
