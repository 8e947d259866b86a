from __future__ import annotations

from matplotlib.figure import Figure
from typing_extensions import override

from findings.drawing import curve, finish, panels
from findings.question import Answer, Question, Tables
from findings.statistics import interval
from findings.words import means

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
        small = {str(name): rows for name, rows in tables["width_by_optimizer"].groupby("optimizer")}
        per = "; ".join(
            f"{interval(rows[rows['n_hidden'] == m]['winner_was_largest'])} under {name.partition('(')[0]} at m = {m}"
            for name, rows in small.items()
            for m in (rows["n_hidden"].min(), rows["n_hidden"].max())
        )
        return Answer(
            claim=f"Share of features whose final neuron was the largest at initialisation, n = 64: {per}.",
            numbers="\n\n".join(
                [
                    means(tables["width_by_optimizer"], {"optimiser": "optimizer", "neurons m": "n_hidden"}, _COLUMNS),
                    means(tables["width"], {"neurons m (n = 256, AdamW)": "n_hidden"}, _COLUMNS),
                ]
            ),
            meaning="",
            limits="",
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
        for name, rows in tables["width_by_optimizer"].groupby("optimizer"):
            for m, networks in rows.groupby("n_hidden"):
                chance = 1 / m
                assert interval(networks["winner_was_largest"]).low > 10 * chance, (name, m)
                assert interval(networks["winner_kept_sign"]).low > 0.5, (name, m)
