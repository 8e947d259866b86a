from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from typing_extensions import override

from findings.drawing import curve, finish, panels
from findings.formatting import means, told
from findings.question import Answer, Question, Tables
from findings.statistics import interval, is_less

_LARGEST = "winner_was_largest"
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
            f"{name}: {' and '.join(f'{told(rows[_LARGEST])} at m = {m}' for m, rows in _ends(networks))}"
            for name, networks in _by_optimizer(small)
        )
        wide = tables["width"][tables["width"]["n_hidden"] == tables["width"]["n_hidden"].max()]
        kept = small["winner_kept_sign"]
        return Answer(
            claim=(
                "Under gradient descent yes, the more the wider the network; under AdamW no. Share of features whose "
                f"final neuron was their largest at initialisation, n = 64: {per}. Under both the winner keeps its "
                f"initial sign ({kept.mean():.1%} of features)."
            ),
            numbers="\n\n".join(
                [
                    means(small, {"optimiser": "optimizer", "neurons m": "n_hidden"}, _COLUMNS),
                    means(tables["width"], {"neurons m (n = 256, AdamW)": "n_hidden"}, _COLUMNS),
                ]
            ),
            meaning=(
                "The flow of the paper, in which L1 takes the same from every weight and growth is in proportion to "
                "it, lets the largest win. Adam divides each weight's gradient by its size, so that early on all of a "
                "feature's weights move alike and their first order is lost. The counts of question 1 are the same "
                "nevertheless: n²/4m needs two features to choose a neuron and a sign independently and evenly, not "
                "to choose the one that was largest at first. Predicting collisions from the initialisation works for "
                f"gradient descent only; at n = 256, m = {wide['n_hidden'].iloc[0]} under AdamW the largest wins in "
                f"{told(wide[_LARGEST])} of features."
            ),
            limits=(
                "One-hot input, one learning rate for each optimiser and one L1 weight. That Adam's normalisation is "
                "the cause is the reading, not a measurement: no optimiser in between was tried."
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

    @override
    def check(self, tables: Tables) -> None:
        small = tables["width_by_optimizer"]
        ends = {name.partition("(")[0]: dict(_ends(networks)) for name, networks in _by_optimizer(small)}
        narrow, wide = sorted(ends["SGD"])
        assert is_less(ends["SGD"][narrow][_LARGEST], ends["SGD"][wide][_LARGEST])
        assert interval(ends["AdamW"][wide][_LARGEST]).high < 0.5
        assert is_less(ends["AdamW"][wide][_LARGEST], ends["SGD"][wide][_LARGEST])
        assert small["winner_kept_sign"].mean() > 0.9


def _by_optimizer(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), rows) for name, rows in table.groupby("optimizer")]


def _ends(networks: pd.DataFrame) -> list[tuple[int, pd.DataFrame]]:
    """The narrowest networks and the widest."""
    widths = networks["n_hidden"]
    return [(int(m), networks[widths == m]) for m in (widths.min(), widths.max())]
