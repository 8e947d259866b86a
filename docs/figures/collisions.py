"""The picture of the README: polysemantic neurons against width, ours, the paper's and theory.

Run by `make figures`; `--train` first trains what `collisions.csv` lacks.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

import polysemantic
from polysemantic.callbacks import Measurements, Snapshots
from polysemantic.data import OneHot
from polysemantic.functional import mean_interval
from polysemantic.theory import polysemantic_neurons_paper

HERE = Path(__file__).parent
TABLE = HERE / "collisions.csv"
N_FEATURES, WIDTHS = 256, (256, 512, 1024, 2048)
# Read off the collisions figure of the paper's repository (tmychow/incidental-polysemanticity), good to about 5 %.
PAPER = {256: 72, 512: 24, 768: 13.7, 1024: 10.1, 1280: 8.4, 1536: 8.2, 1792: 6.1, 2048: 5.4, 2304: 5.0, 2560: 4.9}
PAPER |= {2816: 4.2, 3072: 3.8, 3328: 3.3, 3584: 3.5, 3840: 3.6, 4096: 3.8}


def train() -> None:
    """The fits of configs/collisions.yaml at every width, the end state of each kept in one table."""
    done = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame({"n_hidden": []})
    for n_hidden in WIDTHS:
        if n_hidden not in set(done["n_hidden"]):
            run = polysemantic.fit(
                OneHot(N_FEATURES),
                n_hidden=n_hidden,
                l1=0.001,
                optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=0.001, weight_decay=0.01),
                max_steps=7500,
                measurements=Measurements(every_n_steps=7500),
                snapshots=Snapshots(instances=[]),
            )
            columns = ["n_hidden", "seed", "polysemantic_neurons", "polysemantic_neurons_band", "coverage"]
            columns += ["collisions_opposite_sign", "collisions_same_sign"]
            done = pd.concat([done, run.results[columns]], ignore_index=True)
            done.to_csv(TABLE, index=False)


def draw() -> None:
    """The table as a picture."""
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    widths = np.geomspace(256, 4096, 100)
    theory = [polysemantic_neurons_paper(N_FEATURES, m) for m in widths]
    axes.plot(widths, theory, color="0.4", linestyle="--", label="theory, n²/4m")
    axes.plot(PAPER.keys(), PAPER.values(), "o", color="#D55E00", mfc="none", label="paper, read off its figure")
    for n_hidden, rows in pd.read_csv(TABLE).groupby("n_hidden"):
        counts = torch.tensor(rows["polysemantic_neurons_band"].to_numpy(dtype=float))
        mean, half_width = (float(x) for x in mean_interval(counts))
        first = n_hidden == WIDTHS[0]
        jitter = n_hidden * (1 + 0.03 * np.linspace(-1, 1, len(rows)))
        axes.plot(jitter, rows["polysemantic_neurons_band"], ".", color="#0072B2", alpha=0.25, markersize=3)
        label = f"ours, {len(rows)} networks each: mean, 95 % interval" if first else None
        axes.errorbar(n_hidden, mean, half_width, fmt="s", color="#0072B2", markersize=4, capsize=3, label=label)
    axes.set(xscale="log", yscale="log", xlabel="neurons m", ylabel="polysemantic neurons")
    axes.set_title(f"{N_FEATURES} features, neurons to spare, and yet", loc="left")
    ticks = [256, 512, 1024, 2048, 4096]
    axes.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    axes.set_yticks([2, 5, 10, 20, 50], labels=["2", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(HERE / "collisions.png", dpi=160)


if __name__ == "__main__":
    if "--train" in sys.argv:
        train()
    draw()
