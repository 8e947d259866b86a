from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor
from typing_extensions import override

from findings.drawing import GREY, curve, finish, panels
from findings.formatting import by_threshold, markdown, told
from findings.measured import measured
from findings.question import Answer, Question, Tables, together
from findings.statistics import by_key
from polysemantic.functional import carried
from polysemantic.results.runs import Run

EXCESS = "excess_polysemantic_neurons"


class Necessary(Question):
    title = "With more features than neurons, how much polysemanticity exceeds the necessary amount?"
    sweeps = ("necessary",)
    quick: ClassVar = {
        "necessary": {
            "overrides": {
                "data.n_features": 16,
                "model.l1": 0.03,
                "model.optimizer.lr": 0.01,
                "trainer.max_steps": 1500,
            },
            "axes": {"model.n_hidden": [8, 16, 32]},
        }
    }

    @override
    def gather(self, sweep: str, directory: Path) -> Tables:
        return {sweep: measured(directory, _occupancy)}

    @override
    def tell(self, tables: Tables) -> Answer:
        table = tables["necessary"]
        n = int(table["n_features"].iloc[0])
        at = dict(by_key(table, "n_hidden"))
        least, most = min(at), max(at)
        below, above = _ratios(table[wanting(table)]), _ratios(table[table["n_hidden"] > n])
        return Answer(
            short=(
                f"For n ≥ m by the number of empty neurons: from {at[least][EXCESS].mean():.2g} at m = n/2 up to "
                f"{at[n][EXCESS].mean():.3g} at m = n and down again."
            ),
            networks=together(table),
            claim=(
                f"The excess over the necessary amount grows from {told(at[least][EXCESS])} at m = n/2 = {least}, "
                f"where every signed slot is filled, to {told(at[n][EXCESS])} at m = n = {n}, where no sharing is "
                f"necessary, and falls to {told(at[most][EXCESS])} at m = {most}: one curve with its peak at m = n. "
                "The polysemantic neurons are n - m plus the empty ones in "
                f"{identity(table).mean():.0%} of {len(table)} networks, so for n ≥ m the excess is the number of "
                "empty neurons."
            ),
            numbers="\n\n".join([_table(table), "By threshold:", by_threshold(table, {"neurons m": "n_hidden"})]),
            meaning=(
                "A neuron has a positive and a negative slot, and a slot takes one feature (same-sign collisions in "
                f"all networks: {int(table['collisions_same_sign'].sum())}), so each neuron left empty makes one more "
                "neuron shared. If the features took slots at random, n(n-1)/2(2m-1) neurons would be shared on both "
                f"sides of m = n. The trained count is {below} of that for n/2 < m < n and {above} for m > n. The "
                f"excess, below n a small difference of large counts, is {_excess_ratios(table[wanting(table)])} "
                "times that of random slots there. How many polysemantic neurons are incidental can be told, from the "
                "empty neurons. Which ones they are cannot be told from the collisions: necessary or not, a shared "
                "neuron carries two features of opposite sign."
            ),
            limits=(
                "One-hot inputs, a linear hidden layer, one L1 weight and n ≤ 2m. Beyond n = 2m three features would "
                "have to share a neuron, and n - m is no longer what is necessary. The excess is defined by the "
                "features represented, which is all of them here. A neuron that carries nothing at |w| ≥ 0.5 counts "
                "as empty."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        table = tables["necessary"]
        n = int(table["n_features"].iloc[0])
        widths = np.linspace(table["n_hidden"].min(), table["n_hidden"].max(), 200)
        slots = np.array([n * (n - 1) / (2 * (2 * m - 1)) for m in widths])
        necessary = np.maximum(0, n - widths)
        figure, (left, right) = panels(2)
        left.plot(widths, slots, "--", color=GREY, label="random slots, n(n-1)/2(2m-1)")
        left.plot(widths, necessary, ":", color=GREY, label="necessary, max(0, n - m)")
        curve(left, table, "n_hidden", "polysemantic_neurons", name="trained")
        finish(left, "n_hidden", "polysemantic_neurons", title=f"n = {n}")
        right.plot(widths, slots - necessary, "--", color=GREY, label="random slots less necessary")
        curve(right, table, "n_hidden", "excess_polysemantic_neurons", name="trained")
        right.axvline(n, color=GREY, linewidth=0.5)
        finish(right, "n_hidden", "excess_polysemantic_neurons", title="vertical: m = n")
        return figure


def _occupancy(run: Run) -> dict[str, Tensor]:
    return {"empty_neurons": (~carried(run.model["W_enc"]).any(-2)).sum(-1)}


def identity(table: pd.DataFrame) -> pd.Series:
    """Whether the polysemantic neurons are n - m and as many as are empty."""
    return table["polysemantic_neurons"] == table["n_features"] - table["n_hidden"] + table["empty_neurons"]


def wanting(table: pd.DataFrame) -> pd.Series:
    """Where features are more than neurons, but fewer than signed slots."""
    return (table["n_hidden"] < table["n_features"]) & (table["n_features"] < 2 * table["n_hidden"])


def _ratios(table: pd.DataFrame) -> str:
    """The trained count over that of random slots, least and largest over widths."""
    means = table.groupby("n_hidden")[["polysemantic_neurons", "expected_polysemantic_neurons"]].mean()
    return _range(means["polysemantic_neurons"] / means["expected_polysemantic_neurons"])


def _excess_ratios(table: pd.DataFrame) -> str:
    necessary = table["n_features"] - table["n_hidden"]
    by_slots = (table["expected_polysemantic_neurons"] - necessary).groupby(table["n_hidden"]).mean()
    return _range(table.groupby("n_hidden")[EXCESS].mean() / by_slots)


def _range(ratios: pd.Series) -> str:
    return f"{ratios.min():.2f} to {ratios.max():.2f}"


def _table(table: pd.DataFrame) -> str:
    rows = []
    for m, networks in by_key(table, "n_hidden"):
        slots = networks["expected_polysemantic_neurons"].iloc[0]
        necessary = max(0, int(networks["n_features"].iloc[0]) - int(m))
        rows.append(
            [
                str(m),
                str(len(networks)),
                *(told(networks[name]) for name in ("polysemantic_neurons", "coverage", "represented")),
                f"{slots:.1f}",
                f"{networks['polysemantic_neurons'].mean() / slots:.2f}",
                str(necessary),
                told(networks[EXCESS]),
                f"{slots - necessary:.1f}",
                told(networks["empty_neurons"]),
            ]
        )
    headings = ["neurons m", "networks", "polysemantic neurons", "coverage", "represented", "random slots", "ratio"]
    return markdown(rows, [*headings, "necessary", "excess", "by random slots", "empty neurons"], left=1)
