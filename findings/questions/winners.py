from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from typing_extensions import override

from findings.drawing import curve, finish, panels
from findings.formatting import means, told
from findings.question import Answer, Question, Tables, together

LARGEST = "winner_was_largest"
_COLUMNS = {
    "winner was largest": "winner_was_largest",
    "winner kept sign": "winner_kept_sign",
    "coverage": "coverage",
    "polysemantic neurons": "polysemantic_neurons",
}


class Winners(Question):
    title = "Does the initial largest weight decide the winner?"
    sweeps = ()
    reads = ("width", "width_by_optimizer")

    @override
    def tell(self, tables: Tables) -> Answer:
        small = tables["width_by_optimizer"]
        per = "; ".join(
            f"{name}: {' and '.join(f'{told(rows[LARGEST])} at m = {m}' for m, rows in ends_of(networks))}"
            for name, networks in _by_optimizer(small)
        )
        wide = tables["width"][tables["width"]["n_hidden"] == tables["width"]["n_hidden"].max()]
        kept = small["winner_kept_sign"]
        ends = {name.partition("(")[0]: dict(ends_of(networks)) for name, networks in _by_optimizer(small)}
        narrow, widest = sorted(ends["SGD"])
        share = {name: (rows[narrow][LARGEST].mean(), rows[widest][LARGEST].mean()) for name, rows in ends.items()}
        ratios = count_ratios(small)
        return Answer(
            short=(
                "Under gradient descent more and more often with width ({:.0%} to {:.0%} of features), under AdamW "
                "hardly ({:.0%} to {:.0%})."
            ).format(*share["SGD"], *share["AdamW"]),
            claim=(
                "Under gradient descent often, and the more the wider the network; under AdamW hardly. Share of "
                f"features whose final neuron was their largest at initialisation, n = 64: {per}; by chance 1/m. Under "
                f"both the winner keeps its initial sign ({kept.mean():.1%} of features)."
            ),
            networks=together(tables["width"], small),
            unconverged="every feature has its neuron all the same, and winners are told as they are then",
            numbers="\n\n".join(
                [
                    means(small, {"optimiser": "optimizer", "neurons m": "n_hidden"}, _COLUMNS),
                    means(tables["width"], {"neurons m (n = 256, AdamW)": "n_hidden"}, _COLUMNS),
                ]
            ),
            meaning=(
                "The flow of the paper, in which L1 takes the same from every weight and growth is in proportion to "
                "it, lets the largest win. A likely reason for AdamW, not tested: it divides each weight's gradient "
                "by its size, so that early on all of a feature's weights move alike and their first order is lost. "
                "The counts of question 1 hardly tell the two apart: under gradient descent they are "
                f"{ratios.min():.2f} to {ratios.max():.2f} times those under AdamW, though AdamW takes other winners. "
                "n²/4m needs two features to choose a neuron and a sign independently and evenly, and not the one that "
                "was largest at first. So the initial weights tell who wins under gradient descent, if not surely, and "
                f"not under AdamW: at n = 256, m = {wide['n_hidden'].iloc[0]} the largest wins in "
                f"{told(wide[LARGEST])} of features."
            ),
            limits=(
                "One-hot input, one learning rate for each optimiser and one L1 weight. No optimiser between the two "
                "was tried."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, axes = panels(2)
        for at, (name, rows) in enumerate(tables["width_by_optimizer"].groupby("optimizer")):
            for panel, column in zip(axes, ("winner_was_largest", "winner_kept_sign"), strict=True):
                curve(panel, rows, "n_hidden", column, name=f"{str(name).partition('(')[0]}, n = 64", at=at)
        for panel, column in zip(axes, ("winner_was_largest", "winner_kept_sign"), strict=True):
            curve(panel, tables["width"], "n_hidden", column, name="AdamW, n = 256", at=2)
            finish(panel, "n_hidden", column, scales={"x": "log"})
        return figure


def _by_optimizer(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), rows) for name, rows in table.groupby("optimizer")]


def count_ratios(small: pd.DataFrame) -> pd.Series:
    """Mean count under gradient descent over that under AdamW, at each width."""
    counts = small.assign(by=small["optimizer"].str.partition("(")[0]).groupby(["n_hidden", "by"])
    means = counts["polysemantic_neurons"].mean().unstack("by")
    return means["SGD"] / means["AdamW"]


def ends_of(networks: pd.DataFrame) -> list[tuple[int, pd.DataFrame]]:
    """The narrowest networks and the widest."""
    widths = networks["n_hidden"]
    return [(int(m), networks[widths == m]) for m in (widths.min(), widths.max())]
