from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from typing_extensions import override

from findings.drawing import GREY, curve, finish, panels, tell_zero
from findings.formatting import SHARED, by_threshold, markdown, means, told
from findings.question import Answer, Question, Tables, together
from findings.statistics import by_key, power_law
from polysemantic.theory import expected_polysemantic_neurons, polysemantic_neurons_paper

# Read off the collisions figure of the paper's repository (tmychow/incidental-polysemanticity), good to about 5 %.
PAPER = {256: 72, 512: 24, 768: 13.7, 1024: 10.1, 1280: 8.4, 1536: 8.2, 1792: 6.1, 2048: 5.4, 2304: 5.0, 2560: 4.9}
PAPER |= {2816: 4.2, 3072: 3.8, 3328: 3.3, 3584: 3.5, 3840: 3.6, 4096: 3.8}

# Where the figure shows networks without a polysemantic neuron, below 1.
_ZERO = 0.25


class Width(Question):
    title = "How many neurons are polysemantic against width?"
    sweeps = ("width", "width_by_optimizer")
    quick: ClassVar = {
        "width": {
            "overrides": {
                "data.n_features": 16,
                "model.l1": 0.03,
                "model.optimizer.lr": 0.01,
                "trainer.max_steps": 1200,
            },
            "axes": {"model.n_hidden": [16, 64]},
        },
        "width_by_optimizer": {
            "overrides": {"data.n_features": 16, "model.l1": 0.03},
            "axes": {"model.n_hidden": [16, 64]},
            "zip": [
                {
                    "model.optimizer": [
                        {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01, "weight_decay": 0.01}},
                        {"class_path": "torch.optim.SGD", "init_args": {"lr": 1.6, "weight_decay": 0.0}},
                    ],
                    "trainer.max_steps": [1200, 800],
                }
            ],
        },
    }

    @override
    def tell(self, tables: Tables) -> Answer:
        paper, small = tables["width"], tables["width_by_optimizer"]
        slope, _ = power_law(paper, "n_hidden", "polysemantic_neurons")
        slopes = {
            str(name).partition("(")[0]: power_law(rows, "n_hidden", "polysemantic_neurons")[0]
            for name, rows in small.groupby("optimizer")
        }
        n = int(paper["n_features"].iloc[0])
        opposite, same = (paper[f"collisions_{sign}_sign"].sum() for sign in ("opposite", "same"))
        ratios = paper.groupby("n_hidden")["polysemantic_neurons"].mean() / theory(paper)
        beyond = ratios[ratios.index > n]
        widest = paper[paper["n_hidden"] == paper["n_hidden"].max()]
        carriers = small[small["optimizer"].str.startswith("SGD")]["carriers"]
        return Answer(
            short=(
                f"About as 1/m: {ratios[n]:.2f} times n²/4m at m = n = {n}, {beyond.min():.2f} to {beyond.max():.2f} "
                "times it in wider networks, and never 0."
            ),
            claim=(
                f"At n = {n} under AdamW the count falls as m^b with b = {slope}: {ratios[n]:.2f} times n²/4m at m = n "
                f"and {beyond.min():.2f} to {beyond.max():.2f} times it in wider networks. It does not vanish: "
                f"{told(widest['polysemantic_neurons'])} are left at m = {widest['n_hidden'].iloc[0]}. At n = 64, "
                f"b = {slopes['SGD']} under gradient descent and {slopes['AdamW']} under AdamW."
            ),
            networks=together(paper, small),
            unconverged=(
                f"those that had not have {_carriers(paper)} carriers a feature at n = {n} and {_carriers(small)} at "
                "n = 64, where some of the collisions are still transients"
            ),
            numbers="\n\n".join(
                [
                    _ratios(tables),
                    means(
                        small,
                        {"optimiser": "optimizer", "neurons m": "n_hidden"},
                        SHARED | {"carriers": "carriers", "opposite sign": "collisions_opposite_sign"},
                    ),
                    "By threshold, n = 256:",
                    by_threshold(paper, {"neurons m": "n_hidden"}),
                ]
            ),
            meaning=(
                "Neurons to spare thin collisions out about in proportion to width. n(n-1)/2(2m-1), the count if "
                "features took signed neurons at random, is nearly the same curve: under AdamW from m = 2n on fewer "
                f"pairs end on one neuron than at random. {opposite / (opposite + same):.1%} of the collisions have "
                "opposite sign."
            ),
            limits=(
                "One input distribution (one-hot) and one L1 weight. A network under gradient descent at n = 64 has "
                f"{told(carriers)} carriers a feature: above 1 some of its collisions are transients. At the largest "
                "widths counts are few and their relative intervals wide. The paper's points are read off its figure, "
                "good to about 5 %."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, (left, right) = panels(2)
        widths = _between(256, 4096)
        left.plot(widths, [polysemantic_neurons_paper(256, m) for m in widths], "--", color=GREY, label="theory, n²/4m")
        left.plot(
            list(PAPER),
            list(PAPER.values()),
            "o",
            color="#D55E00",
            mfc="none",
            ms=4,
            label="paper, read off its figure",
        )
        curve(left, tables["width"], "n_hidden", "polysemantic_neurons_band", name="ours, AdamW")
        finish(left, "n_hidden", "polysemantic_neurons", title="n = 256", scales={"x": "log", "y": "log"})
        small = tables["width_by_optimizer"]
        widths = _between(int(small["n_hidden"].min()), int(small["n_hidden"].max()))
        right.plot(widths, [polysemantic_neurons_paper(64, m) for m in widths], "--", color=GREY, label="theory, n²/4m")
        for at, (name, rows) in enumerate(small.groupby("optimizer")):
            optimiser = str(name).partition("(")[0]
            curve(right, rows, "n_hidden", "polysemantic_neurons", name=optimiser, at=at, zero_at=_ZERO)
        finish(right, "n_hidden", "polysemantic_neurons", title="n = 64, by optimiser", scales={"x": "log", "y": "log"})
        tell_zero(right, _ZERO, [1, 3, 10])
        for axes, rows in ((left, tables["width"]), (right, small)):
            ticks = sorted(rows["n_hidden"].unique())
            axes.set_xticks(ticks, labels=[str(tick) for tick in ticks])
            axes.minorticks_off()
        return figure


def _carriers(table: pd.DataFrame) -> str:
    """Of the networks that had not converged."""
    return told(table[table["converged_step"].isna()]["carriers"])


def theory(table: pd.DataFrame) -> pd.Series:
    """n²/4m at each width of a table."""
    n = int(table["n_features"].iloc[0])
    return pd.Series({m: polysemantic_neurons_paper(n, int(m)) for m in sorted(table["n_hidden"].unique())})


def _between(least: int, most: int) -> list[int]:
    """Widths to draw a smooth curve through."""
    widths: list[int] = np.geomspace(least, most, 60).round().astype(int).tolist()
    return widths


def _ratios(tables: Tables) -> str:
    """Ours beside the paper's and theory, and the count's share of each."""
    rows = []
    for m, networks in by_key(tables["width"], "n_hidden"):
        n, count = int(networks["n_features"].iloc[0]), networks["polysemantic_neurons"]
        theory, slots = polysemantic_neurons_paper(n, int(m)), expected_polysemantic_neurons(n, int(m))
        rows.append(
            [
                str(m),
                str(len(networks)),
                *(told(networks[name]) for name in ("polysemantic_neurons", "polysemantic_neurons_band", "coverage")),
                f"{PAPER[int(m)]:g}",
                f"{theory:.3g}",
                f"{count.mean() / theory:.2f}",
                f"{count.mean() / slots:.2f}",
            ]
        )
    headings = ["neurons m", "networks", "polysemantic neurons", "in the band", "coverage"]
    return markdown(rows, [*headings, "paper", "n²/4m", "of n²/4m", "of n(n-1)/2(2m-1)"], left=1)
