from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from typing_extensions import override

from findings.drawing import GREY, curve, finish, panels
from findings.formatting import markdown, means, told
from findings.measured import measured
from findings.question import Answer, Question, Tables, together
from findings.statistics import by_key, interval
from polysemantic.functional import feature_dimensionality, represented_features
from polysemantic.report.labels import MARKERS, PALETTE
from polysemantic.results.runs import Run, load_run
from polysemantic.results.sweeps import CELLS
from polysemantic.sweep.table import collect

# Fractions that Toy Models of Superposition names: alone, tetrahedron, triangle, antipodal pair, pentagon, antiprism.
FRACTIONS = {"1": 1, "3/4": 3 / 4, "2/3": 2 / 3, "1/2": 1 / 2, "2/5": 2 / 5, "3/8": 3 / 8}
_NEAR = 0.025
_KEPT = "^(probability|n_|seed$|step|converged|exposures|expected_companions|represented|coverage|dimensions|near)"
EACH = "dimensions_per_feature"
_SHOWN = {"m / abs(W)²": EACH, "represented": "represented", "coverage": "coverage"}
_SHOWN |= {f"near {name}": f"near_{name}" for name in FRACTIONS}


class Superposition(Question):
    title = "How does sparsity set the dimensions of a feature when features outnumber neurons?"
    sweeps = ("superposition", "superposition_importance")
    quick: ClassVar = {
        "superposition": {
            "overrides": {
                "data.n_features": 20,
                "data.batch_size": 128,
                "model.n_hidden": 4,
                "model.optimizer.lr": 0.01,
                "trainer.max_steps": 990,
            },
            "axes": {"data.probability": [1.0, 0.4, 0.02]},
        },
        "superposition_importance": {
            "overrides": {
                "data.n_features": 10,
                "data.batch_size": 128,
                "model.n_hidden": 3,
                "model.optimizer.lr": 0.01,
                "trainer.max_steps": 800,
            },
            "axes": {"data.probability": [1.0, 0.03]},
        },
    }

    @override
    def gather(self, sweep: str, directory: Path) -> Tables:
        by_feature = _by_feature(directory, ranked=sweep == "superposition")
        return {sweep: measured(directory, _dimensions).filter(regex=_KEPT), f"{sweep}_features": by_feature}

    @override
    def tell(self, tables: Tables) -> Answer:
        table, important = tables["superposition"], tables["superposition_importance"]
        n, m = (int(table[name].iloc[0]) for name in ("n_features", "n_hidden"))
        at, features = by_density(table), tables["superposition_importance_features"]
        dense, sparse = max(at), min(at)
        kept = {p: told(rows["represented"] * rows["n_features"]) for p, rows in by_density(important).items()}
        batch = (table["exposures"] / table["step"] / table["probability"]).mean()
        paired = [f"{rows['near_1/2'].mean():.0%} at p = {p:g}" for p, rows in at.items() if is_paired(rows)]
        others = [rows[f"near_{name}"].mean() for rows in at.values() for name in FRACTIONS if name != "1/2"]
        return Answer(
            short=(
                f"Sparser features: more of them, in fewer dimensions each, from {at[dense][EACH].mean():.2f} down to "
                f"{at[sparse][EACH].mean():.2f}, by way of antipodal pairs."
            ),
            networks=together(table, important),
            unconverged=f"told is the state after {int(table['step'].max())} steps at a constant learning rate",
            claim=(
                f"The sparser the features, the more are represented, and in fewer dimensions each: of {n} features "
                f"in {m} neurons {told(n * at[dense]['represented'])} when always on and "
                f"{told(n * at[sparse]['represented'])} at p = {sparse:g}, while m / |W|² falls from "
                f"{told(at[dense][EACH])} to {told(at[sparse][EACH])}. In between features come in antipodal pairs: "
                f"the share of represented features with D_i within {_NEAR} of 1/2 is {' and '.join(paired)}."
            ),
            numbers="\n\n".join(
                [
                    "Represented: own gain of at least 1/2. Shares of represented features near each fraction that Toy "
                    "Models of Superposition names:",
                    means(table, {"probability": "probability"}, _SHOWN),
                    f"Importance 0.7 to the power of the feature, n = {int(important['n_features'].iloc[0])}, "
                    f"m = {int(important['n_hidden'].iloc[0])}: D_i, mean over networks, and in how many of "
                    f"{important['seed'].nunique()} the feature is represented:",
                    _by_importance(features, important["seed"].nunique()),
                    "D_i in the network of seed 0 beside the means: "
                    "[equal importance](findings/superposition_features.csv), "
                    "[falling importance](findings/superposition_importance_features.csv).",
                ]
            ),
            meaning=(
                "Setting and measure are those of Toy Models of Superposition, and one command trains them: "
                "`python -m polysemantic fit --config configs/superposition.yaml`. Its plainest picture comes out "
                "again: m dimensions for m features' worth of weight, then antipodal pairs, then more features in less "
                "room, down to m/n for each. Features of equal importance that are always on span m dimensions without "
                f"one of their own for any (D_i near 1: {at[dense]['near_1'].mean():.0%}). No fraction other than "
                f"1/2 gathers more than {max(others):.0%} of the represented features at any density. With "
                f"falling importance the dense networks keep the m first features ({kept[max(kept)]} represented), "
                "each in a dimension of its own, and sparse ones add the next most important "
                f"({kept[min(kept)]} at p = {min(kept):g}). With n > m and no L1 this superposition is necessary; it "
                "need not sit on neurons, and counts of polysemantic neurons say little about it."
            ),
            limits=(
                f"Once all features are represented D_i stays at m/n = {m / n:g}, so nothing finer is seen at this "
                "size. The original's n = 400, m = 30 at batches of 1024 has "
                f"{400 * 1024 / (n * batch):.0f} times the inputs a step and about as many times the cost: "
                "`--data.n_features 400 --model.n_hidden 30 --data.batch_size 1024`. Whether its further "
                "fractions appear there was not tried."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, (left, right) = panels(2, height=3.4)
        _fractions(left, tables)
        for at, (p, rows) in enumerate(by_density(tables["superposition_importance_features"]).items()):
            style: dict[str, Any] = {"color": PALETTE[at], "marker": MARKERS[at]}
            right.plot(rows["feature"], rows["represented"], markersize=3, linewidth=1, label=f"p = {p:g}", **style)
        finish(right, "feature", "represented", title="importance 0.7 to the power of the feature")
        right.locator_params(axis="x", integer=True)
        right.set_ylabel("represented (share of networks)", fontsize=8)
        return figure


def _dimensions(run: Run) -> dict[str, Tensor]:
    """Dimensions for each feature as in the original, and shares of the represented features near its fractions."""
    W = run.model["W_enc"]
    dimensionality, is_represented = feature_dimensionality(W), represented_features(W)
    count = is_represented.sum(-1)
    near = {
        f"near_{name}": (((dimensionality - value).abs() <= _NEAR) & is_represented).sum(-1) / count
        for name, value in FRACTIONS.items()
    }
    return {EACH: W.shape[-1] / W.square().sum((-2, -1)), **near}


def _by_feature(directory: Path, *, ranked: bool) -> pd.DataFrame:
    """Dimensionality of features by density: in the network of seed 0, and the mean over seeds.

    Args:
        directory: The sweep's directory.
        ranked: Whether features, equal in kind, are told apart by rank among the represented ones of their network.
    """
    return pd.concat(_features(directory, ranked), ignore_index=True)


def _features(directory: Path, ranked: bool) -> Iterator[pd.DataFrame]:
    for cell in collect(directory)["cell"].unique():
        run = load_run(directory / CELLS / str(cell))
        for p, rows in run.results.groupby("probability", sort=False):
            W = run.model["W_enc"][rows["instance"].tolist()]
            is_represented, found = represented_features(W), feature_dimensionality(W)
            if ranked:
                found = found.masked_fill(~is_represented, -1).sort(-1, descending=True).values
                is_represented = found >= 0
                found = found.masked_fill(~is_represented, torch.nan)
            yield pd.DataFrame(
                {
                    "probability": p,
                    "feature": range(W.shape[-2]),
                    "represented": is_represented.double().mean(0),
                    "feature_dimensionality": found.nanmean(0),
                    "feature_dimensionality_seed_0": found[0],
                }
            )


def by_density(table: pd.DataFrame) -> dict[float, pd.DataFrame]:
    """The rows of each density."""
    return dict(by_key(table, "probability", sort=False))


def is_paired(table: pd.DataFrame) -> bool:
    """Whether most represented features are near one half."""
    return interval(table["near_1/2"]).low > 0.5


def _by_importance(features: pd.DataFrame, networks: int) -> str:
    densities = features["probability"].unique()
    rows = [
        [
            str(feature),
            *(
                f"{dimensionality:.2f} ({networks * represented:.0f})"
                for dimensionality, represented in zip(rows["feature_dimensionality"], rows["represented"], strict=True)
            ),
        ]
        for feature, rows in features.groupby("feature")
    ]
    return markdown(rows, ["feature", *(f"p = {p:g}" for p in densities)], left=1)


def _fractions(axes: Axes, tables: Tables) -> None:
    """Each feature's dimensionality against density, the dimensions for each as one curve, and the known fractions."""
    table, features = tables["superposition"], tables["superposition_features"]
    for name, value in FRACTIONS.items():
        axes.axhline(value, color=GREY, linewidth=0.4, linestyle=":")
        axes.annotate(name, (1.01, value), xycoords=("axes fraction", "data"), fontsize=6, va="center")
    one = 1 / features["probability"], features["feature_dimensionality_seed_0"]
    axes.plot(*one, "_", color=PALETTE[1], markersize=9, alpha=0.6, label="D_i of represented features, seed 0")
    curve(axes, table.assign(sparsity=1 / table["probability"]), "sparsity", EACH, name="m / |W|²")
    finish(axes, "sparsity", "feature_dimensionality", title=_sizes(table), scales={"x": "log"})
    axes.set_xlabel("1 / (1 - S) = 1 / probability", fontsize=8)


def _sizes(table: pd.DataFrame) -> str:
    return f"n = {table['n_features'].iloc[0]}, m = {table['n_hidden'].iloc[0]}"
