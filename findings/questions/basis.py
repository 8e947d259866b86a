from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from typing_extensions import override

from findings.drawing import GREY, finish, panels
from findings.formatting import SHARED, by_threshold, markdown, means
from findings.measured import measured
from findings.question import Answer, Question, Tables, together
from findings.statistics import Estimate, binomial, by_key, interval
from polysemantic.functional import features_per_neuron
from polysemantic.functional.basis.rotations import rotated_networks, rotation_rank
from polysemantic.report.labels import PALETTE
from polysemantic.results.runs import Run

ROTATED = "features_per_neuron_rotated"
_ROTATIONS = 16
_LIMIT = 1.96
EQUIVARIANT = ("SGD", "SGD with momentum")
_BY = {"optimiser": "name", "neurons m": "n_hidden", "L1": "l1"}


class WithoutL1(Question):
    title = "Is L1 needed for a privileged basis?"
    sweeps = ("without_l1",)
    reads = ("dense",)
    quick: ClassVar = {
        "without_l1": {
            "overrides": {"ensemble.seeds": 16, "trainer.max_steps": 600},
            "zip": [],
            "axes": {
                "model.l1": [0.0, 0.03],
                "model.n_hidden": [64],
                "model.optimizer": [
                    {"class_path": "torch.optim.SGD", "init_args": {"lr": 6.4, "weight_decay": 0.0}},
                    {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.002, "weight_decay": 0.0}},
                ],
            },
        }
    }

    @override
    def gather(self, sweep: str, directory: Path) -> Tables:
        return {sweep: measured(directory, _rotated)}

    @override
    def tell(self, tables: Tables) -> Answer:
        table = named(tables["without_l1"])
        without, strong = table[table["l1"] == 0], table[table["l1"] > 0]
        z = {name: interval(rows["privilege_z"]) for name, rows in by_key(without, "name")}
        beyond = {name: outside(rows) for name, rows in by_key(without, "name")}
        sgd = "; ".join(f"{name}: mean z {z[name]}, |z| > {_LIMIT} in {_percent(beyond[name])}" for name in _found(z))
        dense = densest(tables["dense"])
        under = " and ".join(f"{interval(rows['privilege_z'])} under L1 = {l1:g}" for l1, rows in by_key(dense, "l1"))
        return Answer(
            short=(
                f"Yes on one-hot inputs, where with it every z is above {math.floor(strong['privilege_z'].min())}. "
                "It is not enough where features are on together often."
            ),
            claim=(
                "Yes, with these optimisers on one-hot inputs. Without L1 the basis that gradient descent finds is as "
                f"random as any ({sgd}; chance: 0 and 5 %), and Adam's is less aligned with the neurons than a random "
                f"one (mean z {z['Adam']}). With L1 = {strong['l1'].max():g} every network's z is above "
                f"{math.floor(strong['privilege_z'].min())}. L1 is not enough everywhere: with independent features "
                f"on at p = {dense['probability'].iloc[0]:g} (question 2, m = n) z is {under}."
            ),
            networks=together(table),
            numbers="\n\n".join(
                [
                    _z_table(table),
                    means(
                        table,
                        _BY,
                        {
                            "features per neuron": "features_per_neuron",
                            "after rotation": ROTATED,
                            "rotation gap": "rotation_gap",
                            "smallest angle": "min_angle",
                            "angles below 90°": "share_angles_below_90",
                            "represented": "represented",
                        }
                        | SHARED,
                    ),
                    "By threshold:",
                    by_threshold(table, _BY),
                ]
            ),
            meaning=(
                f"Without L1 all features are represented (least share {without['represented'].min():.2g}) and no two "
                f"encodings are at an acute angle: the smallest of all angles is {without['min_angle'].min():.4g} "
                "degrees. Yet a feature is spread over many neurons and a neuron responds to "
                f"{interval(without['features_per_neuron'])} features, about what a random rotation of the same code "
                f"gives ({interval(without[ROTATED])}; n/3 = {without['n_features'].iloc[0] / 3:.3g}). Every neuron "
                "is highly polysemantic, and the count of polysemantic neurons does not show it: no weight is large, "
                f"coverage is {interval(without['coverage'])}, and a count near 0 says nothing."
            ),
            limits=(
                "Gradient descent, with or without momentum, follows a rotation of its start exactly, so its result "
                "was to be expected: it tests the measure. The rotation gap is exactly 0 without L1 and noise, by its "
                "formula. torch 2.13 has no other rotation-equivariant optimiser that trains many networks in one "
                "tensor: Muon takes matrices only. One-hot input but for the networks of question 2, m ≥ n, normal "
                "initialisation, a linear hidden layer."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, (left, right) = panels(2)
        table = named(tables["without_l1"])
        left.axhspan(-_LIMIT, _LIMIT, color=GREY, alpha=0.15, linewidth=0, label="chance, 95 %")
        _strip(left, table, "privilege_z")
        finish(left, "optimiser", "privilege_z", scales={"y": "symlog"})
        right.axhline(table[ROTATED].mean(), color=GREY, linestyle="--", label="after random rotations")
        _strip(right, table, "features_per_neuron")
        finish(right, "optimiser", "features_per_neuron")
        right.set_ylim(0)
        return figure


def densest(dense: pd.DataFrame) -> pd.DataFrame:
    """The networks on the densest features."""
    rows: pd.DataFrame = dense[dense["probability"] == dense["probability"].max()]
    return rows


def _rotated(run: Run) -> Mapping[str, Tensor]:
    """Features per neuron that random rotations of the hidden space give."""
    W = run.model["W_enc"]
    shape = (_ROTATIONS, W.shape[2], rotation_rank(W.shape[1], W.shape[2], tied=True))
    normals = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    turned = [features_per_neuron(rotated) for rotated, _ in rotated_networks(W, W, normals)]
    return {ROTATED: torch.stack(turned).mean(0)}


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Optimisers by names that fit into a table."""
    momentum = table["optimizer"].str.contains("momentum").map({True: " with momentum", False: ""})
    return table.assign(name=table["optimizer"].str.partition("(")[0] + momentum)


def _found(names: Mapping[str, Estimate]) -> Iterator[str]:
    return (name for name in EQUIVARIANT if name in names)


def outside(rows: pd.DataFrame) -> Estimate:
    """Share of networks whose basis is more or less special than 95 % of random ones."""
    return binomial(int((rows["privilege_z"].abs() > _LIMIT).sum()), len(rows))


def _percent(share: Estimate) -> str:
    return f"{share.value:.0%} [{share.low:.1%}, {share.high:.1%}]"


def _z_table(table: pd.DataFrame) -> str:
    rows = [
        [
            *(str(value) if isinstance(value, str) else f"{value:g}" for value in point),
            str(len(networks)),
            str(interval(networks["privilege_z"])),
            f"{networks['privilege_z'].std():.3g}",
            _percent(outside(networks)),
            str(interval(networks["privilege"])),
        ]
        for point, networks in table.groupby(list(_BY.values()))
    ]
    headings = ["networks", "mean z", "its standard deviation", f"share with abs(z) > {_LIMIT}", "privilege"]
    return markdown(rows, [*_BY, *headings], left=len(_BY))


def _strip(axes: Axes, table: pd.DataFrame, column: str) -> None:
    """Every network, by optimiser across and L1 in colour."""
    names = list(dict.fromkeys(table["name"]))
    for at, (l1, rows) in enumerate(table.groupby("l1")):
        place = rows["name"].map(names.index) + 0.2 * (at - 0.5) + 0.006 * (rows["seed"] % 16 - 8)
        axes.plot(place, rows[column], ".", color=PALETTE[at], alpha=0.5, markersize=3, label=f"L1 = {l1:g}")
    axes.set_xticks(range(len(names)), [name.replace(" with ", "\nwith ") for name in names])
