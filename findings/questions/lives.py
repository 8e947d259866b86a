from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from typing_extensions import override

from findings.drawing import finish, panels
from findings.formatting import SHARED, by_threshold, markdown, means, told
from findings.networks import networks
from findings.question import Answer, Question, Tables, together
from findings.statistics import Estimate, by_key, ratio_of_sums
from polysemantic import random
from polysemantic.model.initialisation import normal
from polysemantic.report.labels import PALETTE
from polysemantic.results.runs import Run, load_run
from polysemantic.results.sweeps import CELLS
from polysemantic.sweep.table import axes_of, collect

FATES = ("alive", "resolved before it settled", "resolved after it settled")
KINDS = ("opposite_sign", "same_sign")
_PLACE = ["instance", "neuron"]
_COUNTS = ["one_left", "weaker_left", "leaver_largest", "stayer_largest"]
_TOTALS = dict.fromkeys(("lives", "costly", *_COUNTS), "sum") | {"born_step": "median", "steps": "median"}
_COSTLY = 0.05
# Networks with more carriers a feature than this have not finished to sparsify.
_CARRIERS = 1.05
_BY = {"optimiser": "name", "L1": "l1"}


class Lives(Question):
    title = "What makes a benign collision go away when features never occur together?"
    sweeps = ("lives",)
    quick: ClassVar = {
        "lives": {
            "overrides": {"data.n_features": 32, "model.n_hidden": 32, "trainer.max_steps": 2000},
            "axes": {
                "model.l1": [0.01, 0.03],
                "model.optimizer": [
                    {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.005, "weight_decay": 0.01}},
                    {"class_path": "torch.optim.SGD", "init_args": {"lr": 4.8, "weight_decay": 0.0}},
                ],
            },
        }
    }

    @override
    def gather(self, sweep: str, directory: Path) -> Tables:
        return {sweep: networks(directory), "lives_by_fate": _by_fate(directory)}

    @override
    def tell(self, tables: Tables) -> Answer:
        table, lives = named(tables["lives"]), finished(tables)
        opposite, same = (lives[lives["kind_at_birth"] == kind] for kind in KINDS)
        ended, settled = opposite[opposite["fate"] != FATES[0]], opposite[opposite["settled"]]
        early = share_of(ended, ended["fate"] == FATES[1])
        held = share_of(settled, settled["fate"] == FATES[0])
        gone = share_of(same, same["fate"] != FATES[0])
        rival, alone = (share_of(rows, rows["fate"] != FATES[0]) for rows in by_rival(opposite))
        one = of(ended, "one_left", "lives")
        weaker = "; ".join(
            f"{name}: {_percent(of(rows, 'weaker_left', 'one_left'))}" for name, rows in ended.groupby("name")
        )
        kept = done(table)
        return Answer(
            short=(
                f"Sparsification: of those that end {early.value:.0%} end before they settle, and of the settled "
                f"{held.value:.0%} stay."
            ),
            networks=together(kept),
            claim=(
                "Sparsification: one of the two features leaves for a neuron of its own. Of "
                f"the opposite-sign collisions that end, {_percent(early)} end before both weights have reached 0.7, "
                f"and of those that settle {_percent(held)} stay. They do not end because they cost: "
                f"{_percent(of(ended, 'costly', 'lives'))} had a cost of {_COSTLY:g} or more when last seen."
            ),
            numbers="\n\n".join(
                [
                    _fates(named(tables["lives_by_fate"])),
                    _leavers(lives),
                    _rivals(lives),
                    means(table, _BY, SHARED | {"carriers": "carriers", "opposite sign": "collisions_opposite_sign"}),
                    "By threshold:",
                    by_threshold(table, _BY),
                ]
            ),
            meaning=(
                f"Of the collisions that end, {_percent(one)} end because one feature leaves, and the leaver is not "
                f"lost: coverage is {told(kept['coverage'])} at the end, on {told(kept['carriers'])} neurons a "
                "feature. Which of the two leaves is hardly told by the weights at initialisation: the one that was "
                f"weaker on the neuron at step 0 left in these shares: {weaker}. Beside a third feature of the "
                f"same sign as one of the two on that neuron, {_percent(rival)} of opposite-sign collisions end, "
                f"without one {_percent(alone)}. L1 sets when they end and hardly how many do. Of same-sign collisions "
                f"{_percent(gone)} end, at a cost still below {_COSTLY:g} in all but "
                f"{_percent(of(same, 'costly', 'lives'))}. Once features sit on one neuron each, a benign collision "
                "hardly ever ends."
            ),
            limits=(
                "Collisions are seen from |w| ≥ 0.5 on and every 0.1 / learning rate steps, so a third feature below "
                "0.5 and shorter lives are missed. The weights at birth are not kept; weaker means weaker at step 0. "
                "That a rival and an end go together does not show that one causes the other. Shares, and the networks "
                "counted as converged, leave out grid points that still sparsify (carriers above "
                f"{_CARRIERS:g}). One width (m = n), one-hot input, no noise."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, axes = panels(2)
        lives = named(tables["lives_by_fate"])
        for panel, kind in zip(axes, KINDS, strict=True):
            rows = lives[lives["kind_at_birth"] == kind]
            per = rows.pivot_table(index=["name", "l1"], columns="fate", values="lives", aggfunc="sum").fillna(0)
            per = per / lives["seed"].nunique()
            below = np.zeros(len(per))
            for at, fate in enumerate(FATES):
                heights = per.get(fate, pd.Series(0.0, per.index)).to_numpy()
                panel.bar(range(len(per)), heights, bottom=below, color=PALETTE[at], label=fate)
                below += heights
            panel.set_xticks(range(len(per)), [f"{name}\n{l1:g}" for name, l1 in per.index], fontsize=6)
            title = f"born with {kind.replace('_', ' ')}"
            finish(panel, "optimiser and L1", "collisions a network", title=title, legend=panel is axes[1])
        axes[1].sharey(axes[0])
        return figure


def _by_fate(directory: Path) -> pd.DataFrame:
    """How many collisions of each network had which life."""
    axes = axes_of(directory)
    parts = []
    for cell, rows in collect(directory).groupby("cell", sort=False):
        described = _described(load_run(directory / CELLS / str(cell)))
        by = [*axes, "seed", "kind_at_birth", "settled", "rival", "fate"]
        lives = described.merge(rows[["instance", "seed", *axes]], on="instance").groupby(by, sort=True)
        parts.append(lives[list(_TOTALS)].agg(_TOTALS).reset_index())
    return pd.concat(parts, ignore_index=True)


def _described(run: Run) -> pd.DataFrame:
    """The run's collisions with what became of them, and who left."""
    assert run.collisions is not None
    lives = run.collisions
    settled, resolved = lives["settled_step"].notna(), lives["resolved_step"].notna()
    end = lives["resolved_step"].fillna(lives["last_seen_step"]).astype(int)
    fate = np.select([~resolved, ~settled], FATES[:2], FATES[2])
    described = lives.assign(settled=settled, fate=fate, steps=end - lives["born_step"], lives=1, rival=_rival(lives))
    return described.assign(costly=lives["cost_at_end"] >= _COSTLY, **_who_left(run, lives))


def _rival(lives: pd.DataFrame) -> pd.Series:
    """Whether a third feature of the same sign as one of the two was on at the neuron while a collision lived."""
    found = lives.reset_index().merge(lives[lives["kind_at_birth"] == KINDS[1]], on=_PLACE, suffixes=("", "_other"))
    pair, other = (found[[f"feature_i{end}", f"feature_j{end}"]].to_numpy() for end in ("", "_other"))
    shared = (pair[:, :, None] == other[:, None, :]).any((1, 2)) & (pair != other).any(1)
    together = (found["born_step_other"] <= found["last_seen_step"]) & (
        found["born_step"] <= found["last_seen_step_other"]
    )
    return pd.Series(lives.index.isin(found.loc[shared & together, "index"]), lives.index)


def _who_left(run: Run, lives: pd.DataFrame) -> Mapping[str, np.ndarray]:
    """Whether one feature left, was the weaker at initialisation, and whose largest the neuron was then."""
    start = _start(run).abs().numpy()
    seed = run.results.set_index("instance")["seed"].loc[lives["instance"]].to_numpy()
    neuron, i, j = (lives[name].to_numpy() for name in ("neuron", "feature_i", "feature_j"))
    i_left = (lives["ended_by"] == "i").to_numpy()
    one = i_left | (lives["ended_by"] == "j").to_numpy()
    leaver, stayer = np.where(i_left, i, j), np.where(i_left, j, i)
    largest = start.argmax(-1)
    return {
        "one_left": one,
        "weaker_left": one & (start[seed, leaver, neuron] < start[seed, stayer, neuron]),
        "leaver_largest": one & (largest[seed, leaver] == neuron),
        "stayer_largest": one & (largest[seed, stayer] == neuron),
    }


def _start(run: Run) -> torch.Tensor:
    """The initial weights of each seed, drawn again from their keys."""
    _, n_features, n_hidden = run.model["W_enc"].shape
    seeds = torch.arange(int(run.results["seed"].max()) + 1)
    return normal(random.make_keys(run.config["seed_everything"], "init", seeds), n_features, n_hidden)


def named(table: pd.DataFrame) -> pd.DataFrame:
    """The table with short names of optimisers."""
    return table.assign(name=table["optimizer"].str.partition("(")[0])


def done(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of grid points that no longer sparsify."""
    return table[table.groupby(["optimizer", "l1"])["carriers"].transform("mean") < _CARRIERS]


def finished(tables: Tables) -> pd.DataFrame:
    """Lives in grid points that no longer sparsify."""
    points, lives = done(tables["lives"])[["optimizer", "l1"]].drop_duplicates(), named(tables["lives_by_fate"])
    return lives.merge(points, on=["optimizer", "l1"])


def by_rival(lives: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Collisions beside a third feature of the same sign, and the others."""
    return lives[lives["rival"]], lives[~lives["rival"]]


def share_of(lives: pd.DataFrame, which: pd.Series) -> Estimate:
    """Share of collisions for which something is so."""
    return of(lives.assign(which=lives["lives"] * which), "which", "lives")


def of(lives: pd.DataFrame, part: str, whole: str) -> Estimate:
    """Share with a 95 % interval by resampling seeds, which grid points share."""
    return ratio_of_sums(lives.groupby("seed")[[part, whole]].sum().to_numpy(dtype=float))


def _percent(share: Estimate) -> str:
    return f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"


def _fates(lives: pd.DataFrame) -> str:
    """Born, settled and ended in each group."""
    rows = []
    for (name, l1, kind), group in by_key(lives, ["name", "l1", "kind_at_birth"]):
        counts = group.groupby("fate")["lives"].sum().reindex(FATES, fill_value=0)
        total, settled = group["lives"].sum(), group.loc[group["settled"], "lives"].sum()
        when = [f"{group[column].mean():.0f}" for column in ("born_step", "steps")]
        rows.append([name, f"{l1:g}", kind.replace("_", " "), *map(str, (total, settled, *counts)), *when])
    headings = ["born", "settled", *FATES, "born at step", "steps lived"]
    return markdown(rows, [*_BY, "kind at birth", *headings], left=3)


def _leavers(lives: pd.DataFrame) -> str:
    """Who left, among collisions that one feature ended."""
    rows = []
    for (name, kind), group in by_key(lives[lives["fate"] != FATES[0]], ["name", "kind_at_birth"]):
        shares = (_percent(of(group, count, "one_left")) for count in _COUNTS[1:])
        rows.append([name, kind.replace("_", " "), str(group["one_left"].sum()), *shares])
    headings = ["one feature left", "the weaker at step 0", "leaver had its largest there", "stayer had its largest"]
    return markdown(rows, ["optimiser", "kind at birth", *headings], left=2)


def _rivals(lives: pd.DataFrame) -> str:
    """Whether collisions with a third feature of the same sign end more often."""
    rows = []
    for (name, rival), group in by_key(lives[lives["kind_at_birth"] == KINDS[0]], ["name", "rival"]):
        ended = share_of(group, group["fate"] != FATES[0])
        rows.append([name, "yes" if rival else "no", str(group["lives"].sum()), _percent(ended)])
    headings = ["optimiser", "a third feature of the same sign as one", "opposite-sign collisions", "ended"]
    return markdown(rows, headings, left=2)
