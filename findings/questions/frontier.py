from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from typing_extensions import override

from findings.drawing import finish, panels
from findings.formatting import against, by_threshold, means, share, told
from findings.measured import measured
from findings.networks import COUNTS
from findings.question import Answer, Question, Tables, together
from findings.statistics import interval
from polysemantic.functional import coverage, polysemantic_neurons, polysemantic_neurons_band
from polysemantic.report.labels import MARKERS, PALETTE
from polysemantic.results.runs import Run

ERROR = "reconstruction_error"
COUNT = "polysemantic_neurons"
_KEPT = "^(act|init|l1|n_|seed|step|converged|exposures|represented|reconstruction|polysemantic|coverage|driven)"
_SHOWN = {
    "polysemantic neurons": COUNT,
    "coverage": "coverage",
    "polysemantic by abs(w)": "by_weight",
    "error, 10⁻⁶": "error_ppm",
}
_BY = {"hidden": "act", "neurons m": "n_hidden", "L1": "l1"}


# From here on relu networks too are sparse by the end of training, and all thresholds agree.
_ENOUGH_L1 = 0.03


class Frontier(Question):
    title = "What should somebody do who wants monosemantic neurons?"
    sweeps = ("frontier",)
    quick: ClassVar = {
        "frontier": {
            "overrides": {"data.n_features": 16, "model.optimizer.lr": 0.01, "trainer.max_steps": 990},
            "axes": {
                "model.l1": [0.0, 0.03, 0.3],
                "model.n_hidden": [16, 40],
                "model.init": ["normal"],
                "model.act": ["linear", "relu"],
            },
        }
    }

    @override
    def gather(self, sweep: str, directory: Path) -> Tables:
        return {sweep: measured(directory, _driven).filter(regex=_KEPT)}

    @override
    def tell(self, tables: Tables) -> Answer:
        table = by_drive(tables["frontier"])
        spare = settled(table)
        n = int(table["n_features"].iloc[0])
        linear, relu = (spare[spare["act"] == act] for act in ("linear", "relu"))
        widest = linear["n_hidden"].max()
        falls = {
            act: f"from {told(rows[rows['n_hidden'] == n][COUNT])} to {told(rows[rows['n_hidden'] == widest][COUNT])}"
            for act, rows in (("linear", linear), ("relu", relu))
        }
        inits = {
            act: against(*(_centred(rows)[rows["init"] == init] for init in ("orthogonal", "normal")))
            for act, rows in (("linear", linear), ("relu", relu))
        }
        ratios = error_ratio(spare)
        without = table[(table["l1"] == 0) & (table["n_hidden"] >= n)]
        growth = {act: error_growth(rows) for act, rows in (("linear", linear), ("relu", relu))}
        weak = relu[relu["l1"] == _ENOUGH_L1]
        return Answer(
            short=(
                "If features hardly occur together: more neurons, a relu on the hidden layer, and no more L1 than "
                "sparsifies."
            ),
            claim=(
                "If features hardly occur together, take more neurons than features, a relu on the hidden layer, and "
                f"no more L1 than sparsifies within the training. From m = n = {n} to m = {widest} the count falls "
                f"{falls['linear']} in a linear hidden layer and {falls['relu']} behind a relu, whose error is "
                f"{ratios.min():.2f} to {ratios.max():.2f} times that of the linear layer. A stronger L1 costs error "
                "and, in a linear layer, buys nothing."
            ),
            networks=together(spare),
            unconverged=(
                f"{share(linear['converged_step'].notna())} with a linear hidden layer and "
                f"{share(relu['converged_step'].notna())} behind a relu, whose counts are those after "
                f"{int(spare['step'].max())} steps"
            ),
            numbers="\n\n".join(
                [
                    "A neuron counts here for the features that drive it: activation of at least 0.5 for the feature "
                    "alone, which in a linear layer is |w| ≥ 0.5.",
                    means(_readable(table), _BY, _SHOWN),
                    f"By initialisation, at m ≥ n and L1 ≥ {_ENOUGH_L1:g}:",
                    means(_readable(spare), {"hidden": "act", "initialisation": "init"}, _SHOWN),
                    "By threshold, likewise:",
                    by_threshold(spare, {"hidden": "act", "neurons m": "n_hidden"}),
                ]
            ),
            meaning=(
                "Without L1 few neurons are polysemantic because few stand for anything: coverage is "
                f"{told(without['coverage'])} at m ≥ n, though {told(without['represented'])} of the features are "
                f"represented. With enough L1 every feature has its neuron, and how much more does not matter: from L1 "
                f"{_ENOUGH_L1:g} to {linear['l1'].max():g} the count of a linear layer changes by "
                f"{_more_l1(linear)} while the error grows {growth['linear']:.0f}-fold. Behind a relu only positive "
                "weights drive a neuron, so two features of opposite sign do not share one. Pairs of one sign are "
                "left, whose interference other neurons must cancel: the neurons that they share would alone cause an "
                f"error of at least {uncancelled(weak).mean():.2g} at L1 = {_ENOUGH_L1:g}, where it is "
                f"{weak[ERROR].mean():.2g}. Of these pairs the stronger L1 "
                f"leaves fewer ({_more_l1(relu)}), while the error grows {growth['relu']:.0f}-fold. Orthogonal instead "
                f"of normal initialisation changes the count by {inits['linear']} (linear) and {inits['relu']} "
                "(relu). Counted by |w|, relu networks look worse than linear ones "
                f"({told(relu['by_weight'])} polysemantic neurons): negative weights that no activation passes are "
                "counted too."
            ),
            limits=(
                "One-hot inputs, tied weights, AdamW and one training length. Where features are on together often, "
                "L1 acts against neurons (question 2), and interference, and so the error, weighs differently. Relu "
                "counts at less L1 depend on the threshold."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        table = by_drive(tables["frontier"])
        figure, axes = panels(2)
        for panel, (act, rows) in zip(axes, table[table["l1"] > 0].groupby("act"), strict=True):
            for at, (m, networks) in enumerate(rows.groupby("n_hidden")):
                _trade(panel, networks, at, f"m = {m}")
            covered = rows.groupby(["n_hidden", "l1"])["coverage"].mean().min()
            title = f"{act}, L1 {rows['l1'].min():g} to {rows['l1'].max():g}, coverage {covered:.2f} or more"
            finish(panel, ERROR, COUNT, title=title, legend=act == "relu", scales={"x": "log"})
            panel.set_ylim(-0.5, 1.05 * table[COUNT].max())
        return figure


def _driven(run: Run) -> dict[str, Tensor]:
    """Counts and coverage by the activation that each feature alone causes, none behind a relu by negative weights."""
    w = run.model["W_enc"]
    activation = w.clamp(min=0) if run.config["model"]["act"] == "relu" else w
    found = {"driven_polysemantic_neurons_band": polysemantic_neurons_band(activation)}
    for threshold, suffix in ((0.3, "_0.3"), (0.5, ""), (0.7, "_0.7")):
        found[f"driven_polysemantic_neurons{suffix}"] = polysemantic_neurons(activation, threshold)
        found[f"driven_coverage{suffix}"] = coverage(activation, threshold)
    return found


def by_drive(table: pd.DataFrame) -> pd.DataFrame:
    """The table with what drives neurons in the columns of count and coverage, and the count by |w| beside them."""
    columns = {column for pair in COUNTS.values() for column in pair}
    return table.assign(by_weight=table[COUNT], **{column: table[f"driven_{column}"] for column in columns})


def settled(table: pd.DataFrame) -> pd.DataFrame:
    """Networks with neurons to spare and enough L1 to be sparse by the end of training."""
    return table[(table["l1"] >= _ENOUGH_L1) & (table["n_hidden"] >= table["n_features"])]


def _centred(table: pd.DataFrame, count: str = COUNT) -> pd.Series:
    """Counts less the mean of their width, to compare networks of several widths."""
    return table[count] - table.groupby("n_hidden")[count].transform("mean")


def by_l1(table: pd.DataFrame, count: str = COUNT) -> tuple[pd.Series, pd.Series]:
    """The centred counts at the strongest L1 and at enough of it."""
    centred = _centred(table, count)
    return centred[table["l1"] == table["l1"].max()], centred[table["l1"] == _ENOUGH_L1]


def _more_l1(table: pd.DataFrame) -> str:
    return against(*by_l1(table))


def error_growth(table: pd.DataFrame) -> float:
    """How many times the error from enough L1 to the most."""
    error = table.groupby("l1")[ERROR].mean()
    return float(error[table["l1"].max()] / error[_ENOUGH_L1])


def uncancelled(table: pd.DataFrame) -> pd.Series:
    """Error that neurons shared by two features would cause if nothing cancelled it, at least, for each network.

    An activation of at least 0.5 then adds at least 0.25 to the other's output, both ways, in one input of n each.
    """
    return 2 * 0.25**2 * table[COUNT] / table["n_features"]


def error_ratio(table: pd.DataFrame) -> pd.Series:
    """Mean error behind a relu over that of a linear layer, at each width and L1."""
    error = table.groupby(["n_hidden", "l1", "act"])[ERROR].mean().unstack("act")
    return error["relu"] / error["linear"]


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(error_ppm=1e6 * table[ERROR])


def _trade(axes: Axes, table: pd.DataFrame, at: int, name: str) -> None:
    """Mean count with its interval against mean error, one point for each L1."""
    points = [(rows[ERROR].mean(), interval(rows[COUNT])) for _, rows in table.groupby("l1")]
    x, y = [error for error, _ in points], [count.value for _, count in points]
    reach = [count.value - count.low for _, count in points]
    axes.errorbar(x, y, reach, fmt=f"{MARKERS[at]}-", color=PALETTE[at], ms=4, capsize=2, linewidth=1, label=name)
