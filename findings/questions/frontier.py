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
from findings.question import Answer, Question, Tables
from findings.statistics import interval, is_less
from polysemantic.functional import coverage, polysemantic_neurons, polysemantic_neurons_band
from polysemantic.report.labels import MARKERS, PALETTE
from polysemantic.results.runs import Run

_ERROR = "reconstruction_error"
_COUNT = "polysemantic_neurons"
_KEPT = "^(act|init|l1|n_|seed|step|converged|exposures|represented|reconstruction|polysemantic|coverage|driven)"
_SHOWN = {
    "polysemantic neurons": _COUNT,
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
        table = _by_drive(tables["frontier"])
        spare = _settled(table)
        n = int(table["n_features"].iloc[0])
        linear, relu = (spare[spare["act"] == act] for act in ("linear", "relu"))
        widest = linear["n_hidden"].max()
        falls = {
            act: f"from {told(rows[rows['n_hidden'] == n][_COUNT])} to {told(rows[rows['n_hidden'] == widest][_COUNT])}"
            for act, rows in (("linear", linear), ("relu", relu))
        }
        inits = {
            act: against(*(_centred(rows)[rows["init"] == init] for init in ("orthogonal", "normal")))
            for act, rows in (("linear", linear), ("relu", relu))
        }
        ratios = _error_ratio(spare)
        without = table[(table["l1"] == 0) & (table["n_hidden"] >= n)]
        return Answer(
            claim=(
                "Take more neurons than features, a relu on the hidden layer, and no more L1 than sparsifies within "
                f"the training. From m = n = {n} to m = {widest} the count falls {falls['linear']} in a linear hidden "
                f"layer and {falls['relu']} behind a relu, whose error is {ratios.min():.2f} to {ratios.max():.2f} "
                "times that of the linear layer. A stronger L1 costs error and, in a linear layer, buys nothing."
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
                f"{told(without['coverage'])} at m ≥ n. With enough L1 every feature has its neuron, and how much "
                f"more does not matter: from L1 {_ENOUGH_L1:g} to {linear['l1'].max():g} the count of a linear layer "
                f"changes by {_more_l1(linear)} while the error grows {_error_growth(linear):.0f}-fold. Behind a relu "
                "a feature has no use for the negative side of another one's neuron, so pairs of opposite sign share "
                "none. Pairs of one sign are left, whose interference negative weights on other neurons cancel; of "
                f"those the stronger L1 leaves fewer ({_more_l1(relu)}), at the same price in error. Orthogonal "
                f"instead of normal initialisation changes the count by {inits['linear']} (linear) and "
                f"{inits['relu']} (relu). Counted by |w|, relu networks look worse than linear ones "
                f"({told(relu['by_weight'])} polysemantic neurons): negative weights that no activation passes are "
                "counted too."
            ),
            limits=(
                "One-hot inputs, tied weights, AdamW and one training length. With features that occur together "
                "interference, and so the error, weighs differently. By the criterion of convergence "
                f"{share(linear['converged_step'].notna())} linear and {share(relu['converged_step'].notna())} relu "
                f"networks (m ≥ n, L1 ≥ {_ENOUGH_L1:g}) have converged; relu counts at less L1 depend on the threshold."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        table = _by_drive(tables["frontier"])
        figure, axes = panels(2)
        for panel, (act, rows) in zip(axes, table[table["l1"] > 0].groupby("act"), strict=True):
            for at, (m, networks) in enumerate(rows.groupby("n_hidden")):
                _trade(panel, networks, at, f"m = {m}")
            covered = rows.groupby(["n_hidden", "l1"])["coverage"].mean().min()
            title = f"{act}, L1 {rows['l1'].min():g} to {rows['l1'].max():g}, coverage {covered:.2f} or more"
            finish(panel, _ERROR, _COUNT, title=title, legend=act == "relu", scales={"x": "log"})
            panel.set_ylim(-0.5, 1.05 * table[_COUNT].max())
        return figure

    @override
    def check(self, tables: Tables) -> None:
        table = _by_drive(tables["frontier"])
        n = int(table["n_features"].iloc[0])
        settled = dict(iter(_settled(table).groupby("act")))
        without = dict(iter(table[(table["l1"] == 0) & (table["n_hidden"] >= n)].groupby("act")))
        for count, covered in COUNTS.values():
            for act, rows in settled.items():
                assert rows[covered].mean() > 0.98, (act, covered)
                widest = rows["n_hidden"].max()
                assert is_less(rows[rows["n_hidden"] == widest][count], rows[rows["n_hidden"] == n][count]), (
                    act,
                    count,
                )
            assert is_less(settled["relu"][count], settled["linear"][count]), count
            by_l1 = settled["linear"].groupby("l1")[count].mean()
            assert by_l1.max() < 1.3 * by_l1.min(), count
            assert is_less(*_by_l1(settled["relu"], count), level=0.01), count
        for covered in ("coverage", "coverage_0.7"):
            for act, rows in settled.items():
                assert interval(without[act][covered]).high < rows[covered].mean() - 0.1, (act, covered)
        for point, rows in _settled(table).groupby(["act", "n_hidden"]):
            error = rows.groupby("l1")[_ERROR]
            assert error.max().iloc[0] < error.min().iloc[-1], point
        assert _error_ratio(_settled(table)).between(0.5, 2).all()


def _driven(run: Run) -> dict[str, Tensor]:
    """Counts and coverage by the activation that each feature alone causes, none behind a relu by negative weights."""
    w = run.model["W_enc"]
    activation = w.clamp(min=0) if run.config["model"]["act"] == "relu" else w
    found = {"driven_polysemantic_neurons_band": polysemantic_neurons_band(activation)}
    for threshold, suffix in ((0.3, "_0.3"), (0.5, ""), (0.7, "_0.7")):
        found[f"driven_polysemantic_neurons{suffix}"] = polysemantic_neurons(activation, threshold)
        found[f"driven_coverage{suffix}"] = coverage(activation, threshold)
    return found


def _by_drive(table: pd.DataFrame) -> pd.DataFrame:
    """The table with what drives neurons in the columns of count and coverage, and the count by |w| beside them."""
    columns = {column for pair in COUNTS.values() for column in pair}
    return table.assign(by_weight=table[_COUNT], **{column: table[f"driven_{column}"] for column in columns})


def _settled(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["l1"] >= _ENOUGH_L1) & (table["n_hidden"] >= table["n_features"])]


def _centred(table: pd.DataFrame, count: str = _COUNT) -> pd.Series:
    """Counts less the mean of their width, to compare networks of several widths."""
    return table[count] - table.groupby("n_hidden")[count].transform("mean")


def _by_l1(table: pd.DataFrame, count: str = _COUNT) -> tuple[pd.Series, pd.Series]:
    """The centred counts at the strongest L1 and at enough of it."""
    centred = _centred(table, count)
    return centred[table["l1"] == table["l1"].max()], centred[table["l1"] == _ENOUGH_L1]


def _more_l1(table: pd.DataFrame) -> str:
    return against(*_by_l1(table))


def _error_growth(table: pd.DataFrame) -> float:
    error = table.groupby("l1")[_ERROR].mean()
    return float(error[table["l1"].max()] / error[_ENOUGH_L1])


def _error_ratio(table: pd.DataFrame) -> pd.Series:
    """Mean error behind a relu over that of a linear layer, at each width and L1."""
    error = table.groupby(["n_hidden", "l1", "act"])[_ERROR].mean().unstack("act")
    return error["relu"] / error["linear"]


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(error_ppm=1e6 * table[_ERROR])


def _trade(axes: Axes, table: pd.DataFrame, at: int, name: str) -> None:
    """Mean count with its interval against mean error, one point for each L1."""
    points = [(rows[_ERROR].mean(), interval(rows[_COUNT])) for _, rows in table.groupby("l1")]
    x, y = [error for error, _ in points], [count.value for _, count in points]
    reach = [count.value - count.low for _, count in points]
    axes.errorbar(x, y, reach, fmt=f"{MARKERS[at]}-", color=PALETTE[at], ms=4, capsize=2, linewidth=1, label=name)
