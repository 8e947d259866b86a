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
from findings.networks import COUNTS
from findings.question import Answer, Question, Tables
from findings.statistics import binomial, by_key, interval, is_less
from polysemantic.functional import kaplan_meier
from polysemantic.report.labels import PALETTE
from polysemantic.results.lifetimes import durations
from polysemantic.results.runs import Run, load_run
from polysemantic.results.sweeps import CELLS
from polysemantic.sweep.table import axes_of, collect

_POINT = ["name", "magnitude", "probability", "l1"]
_BY = {"optimiser": "name", "magnitude": "magnitude", "expected companions": "expected_companions", "L1": "l1"}
_ALIVE = "formed_alive"
# A count of networks that cover less of their features says nothing about collisions.
_COVERED = 0.95
_CARRIERS = 1.1
_CURVE = 25
# L1 under which the collisions formed (configs/collisions.yaml).
_L1 = 0.001
_ORIGINS = ("formed before", "born later")
_ADAMW = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01, "weight_decay": 0.01}}
_SMALL: dict[str, Any] = {"data.n_features": 32, "model.n_hidden": 32, "model.optimizer": _ADAMW}
_CUT: dict[str, Any] = {
    "overrides": _SMALL | {"data.probability": 0.2, "data.batch_size": 10, "trainer.max_steps": 1500},
    "axes": {"model.l1": [0.1, 0.2], "data.probability": [0.2]},
    "zip": [],
}


class Resolved(Question):
    title = "Does co-occurrence prevent collisions or resolve them once they have formed?"
    sweeps = ("one_hot_first", "prevented", "resolved")
    quick: ClassVar = {
        "one_hot_first": {"overrides": _SMALL | {"model.l1": 0.01, "trainer.max_steps": 1000}},
        "prevented": _CUT,
        "resolved": _CUT,
    }

    @override
    def prepare(self, sweep: str, done: Mapping[str, Path]) -> dict[str, Any]:
        if sweep != "resolved":
            return {}
        (cell,) = (done["one_hot_first"] / CELLS).iterdir()
        return {"model.init_from": str(cell / "checkpoints" / "last.ckpt")}

    @override
    def gather(self, sweep: str, directory: Path) -> Tables:
        if sweep != "resolved":
            return super().gather(sweep, directory)
        return {sweep: measured(directory, _formed), "resolved_survival": _survival(directory)}

    @override
    def tell(self, tables: Tables) -> Answer:
        first, prevented, resolved = (_named(tables[name]) for name in self.sweeps)
        covered = _covered(prevented)
        best = min(covered, key=lambda point: covered[point]["polysemantic_neurons"].mean())
        there, kept = covered[best], dict(_points(resolved))[best]
        _, magnitude, probability, l1 = best
        bare = [rows for _, rows in _points(prevented) if rows["coverage"].mean() < 0.5]
        held = [dict(_points(resolved))[point] for point, rows in _points(prevented) if rows["coverage"].mean() < 0.5]
        return Answer(
            claim=(
                f"It prevents them and resolves {'none' if _none_ended(resolved) else 'few'}. "
                f"With features on at p = {probability:g} ({there['expected_companions'].mean():.2g} expected "
                f"companions), magnitude {magnitude} and L1 = {l1:g}, {told(there['polysemantic_neurons'])} neurons "
                f"are polysemantic if the features occur "
                f"together from the first step, and {told(kept['polysemantic_neurons'])} if they do after collisions "
                f"have formed ({told(first['polysemantic_neurons'])} before), at coverage "
                f"{told(there['coverage'])} and {told(kept['coverage'])}."
            ),
            numbers="\n\n".join(
                [
                    _beside(prevented, resolved),
                    "Survival of the collisions that had formed, and of those born later, at the strongest L1:",
                    _survivors(_strong(_named(tables["resolved_survival"]))),
                    "Where training started (one-hot input):",
                    means(first, {"neurons m": "n_hidden"}, SHARED | {"carriers": "carriers"}),
                    "By threshold, from the first step:",
                    by_threshold(prevented, _BY),
                    "By threshold, after collisions have formed:",
                    by_threshold(resolved, _BY),
                ]
            ),
            meaning=(
                f"{_how_many_ended(resolved)} So the end depends on the history. To leave a shared neuron a feature "
                "has to put weight on a second one: L1 charges for that in proportion, while the gain, on inputs with "
                "both on, grows with the square of it. So under any L1 no small step leaves a collision that has "
                "formed, whatever it costs. Coverage has a history too: where training from the first step leaves "
                "fewer than half of "
                f"the features with a neuron ({len(bare)} grid points, coverage {_over(bare, 'coverage')}), a count "
                "near zero is there because coverage is gone; networks that had formed keep coverage "
                f"{_over(held, 'coverage')} and {_over(held, 'polysemantic_neurons')} polysemantic neurons under the "
                "same inputs."
            ),
            limits=(
                f"{resolved['step'].max()} steps, sampled batches in which a feature is on once on average: longer "
                "training may resolve more, and weak L1 has not finished to sparsify from the first step (see "
                "carriers). Collisions formed under one-hot input at L1 = "
                f"{_L1:g}; survival at a fixed step is confounded with how fast training goes, so final counts stand "
                "beside it. m = n only."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, axes = panels(3)
        prevented, resolved = (_named(tables[name]) for name in self.sweeps[1:])
        for at, (name, table) in enumerate((("from the first step", prevented), ("after collisions formed", resolved))):
            rows = _strong(table[(table["name"] == "AdamW") & (table["magnitude"] == "one")])
            for panel, column in zip(axes, ("polysemantic_neurons", "coverage"), strict=False):
                curve(panel, rows, "expected_companions", column, name=name, at=at)
                finish(panel, "expected_companions", column, legend=column == "coverage", scales={"x": "log"})
                panel.set_ylim(0)
        survival = _strong(_named(tables["resolved_survival"]))
        chosen = survival[
            (survival["name"] == "AdamW")
            & (survival["magnitude"] == "one")
            & (survival["origin"] == _ORIGINS[0])
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

    @override
    def check(self, tables: Tables) -> None:
        prevented, resolved = (_named(tables[name]) for name in self.sweeps[1:])
        there, kept = _covered(prevented), dict(_points(resolved))
        best = min(there, key=lambda point: there[point]["polysemantic_neurons"].mean())
        for count, covered in COUNTS.values():
            assert is_less(there[best][count], kept[best][count]), (count, best)
            assert kept[best][covered].mean() > 0.9, (covered, best)
        for point, rows in _points(prevented):
            assert interval(kept[point]["coverage"]).low > _COVERED, point
            if rows["coverage"].mean() < 0.5:
                assert is_less(rows["polysemantic_neurons"], kept[point]["polysemantic_neurons"]), point
        assert interval(resolved[_ALIVE] / resolved["formed"]).low > 0.5


def _formed(run: Run) -> Mapping[str, Tensor]:
    """Collisions that were there at the start, and those of them that are alive."""
    assert run.collisions is not None
    there = run.collisions[run.collisions["born_step"] == 0]
    alive = there[there["resolved_step"].isna()]
    return {
        name: torch.from_numpy(np.bincount(rows["instance"], minlength=len(run.results)))
        for name, rows in (("formed", there), (_ALIVE, alive))
    }


def _survival(directory: Path) -> pd.DataFrame:
    """Kaplan-Meier curves of the collisions of each grid point, of those there at the start and of later ones."""
    axes = axes_of(directory)
    by = [*axes, "origin", "kind_at_birth"]
    curves = []
    for cell, rows in by_key(collect(directory), "cell", sort=False):
        lives = load_run(directory / CELLS / str(cell)).collisions
        assert lives is not None
        origin = np.where(lives["born_step"] == 0, *_ORIGINS)
        groups = by_key(lives.assign(origin=origin).merge(rows[["instance", *axes]], on="instance"), by)
        curves += [_curve(group).assign(**dict(zip(by, point, strict=True))) for point, group in groups]
    return pd.concat(curves, ignore_index=True)[[*by, "life", "survival", "lives", "ended"]]


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Optimisers by name, magnitudes where all are the same, and companions without rounding errors."""
    known = {"magnitude": "one", "expected_companions": 0.0} | dict(table)
    companions = pd.Series(known["expected_companions"], table.index).round(3)
    return table.assign(
        name=table["optimizer"].str.partition("(")[0] if "optimizer" in table else "AdamW",
        magnitude=known["magnitude"],
        expected_companions=companions,
    )


def _points(table: pd.DataFrame) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    return iter(table.groupby(_POINT))


def _any_diverged(rows: pd.DataFrame) -> bool:
    return "diverged_step" in rows and bool(rows["diverged_step"].notna().any())


def _covered(table: pd.DataFrame) -> dict[tuple[Any, ...], pd.DataFrame]:
    """Grid points whose networks cover their features, each on one neuron, and of which none diverged."""
    return {
        point: rows
        for point, rows in _points(table)
        if rows["coverage"].mean() > _COVERED and rows["carriers"].mean() < _CARRIERS and not _any_diverged(rows)
    }


def _fewest(table: pd.DataFrame) -> pd.DataFrame:
    """The grid point at which the smallest share of formed collisions is alive."""
    return min((rows for _, rows in _points(table)), key=lambda rows: rows[_ALIVE].sum() / rows["formed"].sum())


def _share_alive(table: pd.DataFrame) -> str:
    share = interval(table[_ALIVE] / table["formed"])
    return f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"


def _none_ended(table: pd.DataFrame) -> bool:
    return bool((table[_ALIVE] == table["formed"]).all())


def _how_many_ended(table: pd.DataFrame) -> str:
    if _none_ended(table):
        lost = binomial(0, len(table))
        return (
            f"None of {table['formed'].sum():g} collisions that had formed ended, in {len(table)} networks over all "
            f"grid points (by the exact binomial interval fewer than {lost.high:.1%} of networks lose one)."
        )
    return (
        f"Of {told(table['formed'])} collisions a network that had formed, {_share_alive(table)} are alive at the end "
        f"over all grid points, and {_share_alive(_fewest(table))} at the one with the fewest."
    )


def _over(points: list[pd.DataFrame], column: str) -> str:
    return told(pd.concat(points)[column]) if points else "-"


def _beside(prevented: pd.DataFrame, resolved: pd.DataFrame) -> str:
    """Both ends beside one another at each grid point."""
    late = dict(_points(resolved))
    rows = []
    for point, early in _points(prevented):
        name, magnitude, probability, l1 = point
        count = [table["polysemantic_neurons"] for table in (early, late[point])]
        rows.append(
            [
                *(name, magnitude, f"{probability:g}", f"{early['expected_companions'].mean():.3g}", f"{l1:g}"),
                *(str(len(early)), told(count[0]), told(early["coverage"]), told(early["carriers"])),
                *(told(count[1]), told(late[point]["coverage"]), told(late[point]["carriers"])),
                *(against(count[1], count[0]), told(late[point]["formed"]), told(late[point][_ALIVE])),
            ]
        )
    headings = ["optimiser", "magnitude", "p", "companions", "L1", "networks"]
    headings += ["from the first step", "coverage", "carriers", "after formation", "coverage", "carriers"]
    return markdown(rows, [*headings, "difference", "had formed", "of these alive"], left=2)


def _survivors(survival: pd.DataFrame) -> str:
    """How many lives there were, and the share alive at the end by Kaplan-Meier."""
    rows = [
        [*(str(value) if isinstance(value, str) else f"{value:g}" for value in point), *_last(lives)]
        for point, lives in survival.groupby([*_POINT, "origin", "kind_at_birth"])
    ]
    headings = ["optimiser", "magnitude", "p", "L1", "born", "kind at birth", "lives", "ended", "share that outlives"]
    return markdown(rows, headings, left=6)


def _strong(table: pd.DataFrame) -> pd.DataFrame:
    rows: pd.DataFrame = table[table["l1"] == table["l1"].max()]
    return rows


def _last(lives: pd.DataFrame) -> list[str]:
    end = lives.sort_values("life").iloc[-1]
    return [f"{end['lives']:g}", f"{end['ended']:g}", f"{end['survival']:.2f}"]


def _curve(lives: pd.DataFrame) -> pd.DataFrame:
    length, ended, _ = durations(lives)
    times, survival = kaplan_meier(length, ended)
    kept = np.unique(np.linspace(0, len(times) - 1, _CURVE).astype(int))
    return pd.DataFrame(
        {"life": times[kept], "survival": survival[kept], "lives": len(lives), "ended": int(ended.sum())}
    )
