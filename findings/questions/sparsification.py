from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from typing_extensions import override

from findings.drawing import GREY, finish, panels
from findings.formatting import markdown, means, told
from findings.histories import histories, over_steps
from findings.networks import networks
from findings.question import Answer, Question, Tables, together
from polysemantic.report.labels import PALETTE
from polysemantic.results.runs import load_run
from polysemantic.results.sweeps import CELLS
from polysemantic.sweep.table import collect
from polysemantic.theory import l1_norm_law, paper_lambda, paper_time, sparsity_law

DESCENT, ADAM = "gradient descent", "AdamW"
_KEY = ["data", "optimizer"]

_MEANING = (
    "The law is one of shape: 1/|W|₁ grows evenly with steps. Gradient descent follows it somewhat behind. The count "
    "m' lies above |W|₁² (of a feature whose |W|₂ is 1 the two are equal if its m' weights are) and so above the law's "
    "square: the weights of a feature are not all equal. AdamW on one-hot "
    "inputs walks the same course at a pace of its own. A likely reason for the slower pace with independent features, "
    "not tested: the sign of a hidden activation is then not always that of one feature's weight, so L1 pulls less."
)
_LIMITS = (
    "One width, one number of features and one L1 weight. λt is exact for full batches of one-hot inputs alone: for "
    "independent features it is set by equal exposures (P(i on) is 1/n in both), and AdamW "
    "has no such clock. Near |W|₁ = 1 the law, which ends at 1 all at once, does not describe the slow end. The pace "
    "is fitted, one number a network."
)


class Sparsification(Question):
    title = "Does the sparsification law 1/(1/√m + λt) hold in trained networks?"
    sweeps = ("sparsification",)

    @override
    def gather(self, sweep: str, directory: Path) -> Tables:
        settings = _settings(directory)
        paths = over_steps(directory, ("l1_norm", "sparsity_count"), points=30).merge(settings, on=_KEY)
        slopes = pd.concat([_slopes(history.merge(settings, on=_KEY)) for history in histories(directory)])
        return {
            sweep: networks(directory).merge(slopes, on=[*_KEY, "seed"]),
            f"{sweep}_over_steps": _with_law(paths),
        }

    @override
    def tell(self, tables: Tables) -> Answer:
        arms = arms_of(tables["sparsification"])
        first = tables["sparsification_over_steps"].iloc[0]
        descent, bernoulli = arms[DESCENT, "OneHot"], arms[DESCENT, "IndependentBernoulli"]
        adam, last = arms[ADAM, "OneHot"], arms[ADAM, "IndependentBernoulli"]
        return Answer(
            short=(
                f"Its shape does, at {descent['clock'].mean():.2f} of its pace under gradient descent; not under AdamW "
                "with independent features."
            ),
            networks=together(tables["sparsification"]),
            unconverged="the law is about the way down to |W|₁ = 2, which all arms have behind them",
            claim=(
                "Its shape does, except under AdamW with independent features. While |W|₁ falls from √m/3 to 2 "
                f"(m = {int(first['m'])}) on one-hot inputs, it goes as steps^b with b = {told(descent['slope'])} "
                f"under gradient descent and {told(adam['slope'])} under AdamW, where the law has "
                f"{told(descent['law_slope'])} and {told(adam['law_slope'])}. Gradient descent runs at "
                f"{told(descent['clock'])} of the law's pace λt. Independent features slow it to "
                f"{told(bernoulli['clock'])} of that pace, with b = {told(bernoulli['slope'])}; under AdamW they "
                f"flatten the course to b = {told(last['slope'])}, where the law has {told(last['law_slope'])}."
            ),
            numbers="\n\n".join(
                [
                    means(
                        _named(tables["sparsification"]),
                        {"optimiser": "by", "inputs": "inputs"},
                        {
                            "slope b": "slope",
                            "slope of the law": "law_slope",
                            "pace per 10 000 steps": "pace",
                            "pace / law": "clock",
                            "largest departure": "departure",
                            "m' / law": "count_ratio",
                            "final norm": "l1_norm",
                            "final m'": "sparsity_count",
                            "polysemantic neurons": "polysemantic_neurons",
                            "coverage": "coverage",
                        },
                    ),
                    "Gradient descent on one-hot inputs beside the law without any fit, means over networks:",
                    _along(tables["sparsification_over_steps"]),
                ]
            ),
            meaning=_MEANING,
            limits=_LIMITS,
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, axes = panels(2)
        paths = _named(tables["sparsification_over_steps"])
        paths = paths[paths["step"] > 0]
        first = paths[paths["by"] == DESCENT].iloc[0]
        steps = np.geomspace(paths["step"].min(), paths["step"].max(), 80)
        for panel, column, law in zip(axes, ("l1_norm", "sparsity_count"), (l1_norm_law, sparsity_law), strict=True):
            given = law(steps * first["time_per_step"], int(first["m"]), first["rate"])
            panel.plot(steps, given, "--", color=GREY, label="law, gradient descent")
            for at, ((by, inputs), path) in enumerate(paths.groupby(["by", "inputs"])):
                mean, half = path[column], path[f"{column}_half"]
                panel.plot(path["step"], mean, color=PALETTE[at], lw=1.2, label=f"{by}, {inputs}")
                panel.fill_between(path["step"], mean - half, mean + half, color=PALETTE[at], alpha=0.2, lw=0)
            finish(panel, "step", column, legend=panel is axes[1], scales={"x": "log", "y": "log"})
        return figure


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """The table with short names of optimiser and inputs."""
    by = table["optimizer"].str.partition("(")[0].replace("SGD", DESCENT)
    return table.assign(by=by, inputs=table["data"].str.partition("(")[0])


def arms_of(table: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """The networks by optimiser and inputs."""
    return {(str(by), str(inputs)): rows for (by, inputs), rows in _named(table).groupby(["by", "inputs"])}


def _along(paths: pd.DataFrame) -> str:
    path = _named(paths)
    path = path[(path["by"] == DESCENT) & (path["inputs"] == "OneHot")]
    rows = [
        [
            str(row["step"]),
            f"{row['paper_time']:.0f}",
            f"{row['l1_norm']:.3g} ± {row['l1_norm_half']:.2g}",
            f"{row['l1_norm_law']:.3g}",
            f"{row['l1_norm'] / row['l1_norm_law']:.2f}",
            f"{row['sparsity_count']:.3g} ± {row['sparsity_count_half']:.2g}",
            f"{row['sparsity_law']:.3g}",
            f"{row['sparsity_count'] / row['sparsity_law']:.2f}",
        ]
        for row in path.iloc[::2].to_dict("records")
    ]
    return markdown(rows, ["step", "t", "norm", "law", "norm / law", "m'", "law", "m' / law"], left=0)


def _settings(directory: Path) -> pd.DataFrame:
    """What the law needs to know of each run."""
    rows: list[dict[str, Any]] = []
    for cell, results in collect(directory).groupby("cell", sort=False):
        first, model = results.iloc[0], load_run(directory / CELLS / str(cell)).config["model"]
        sizes = {name: first[name] for name in _KEY}
        n, lr = int(first["n_features"]), model["optimizer"]["init_args"]["lr"]
        rows.append(
            {**sizes, "m": first["n_hidden"], "rate": paper_lambda(model["l1"]), "time_per_step": paper_time(1, lr, n)}
        )
    return pd.DataFrame(rows)


def _with_law(paths: pd.DataFrame) -> pd.DataFrame:
    """The law beside what was measured, with the time of gradient descent, whatever the optimiser."""
    time = paths["time_per_step"] * paths["step"]
    given = list(zip(time, paths["m"], paths["rate"], strict=True))
    laws = {law.__name__: [float(law(*one)) for one in given] for law in (l1_norm_law, sparsity_law)}
    return paths.assign(paper_time=time, **laws)


def _slopes(history: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame([_slope(path) for _, path in history.groupby("seed")])


def _slope(path: pd.DataFrame) -> dict[str, Any]:
    """How a network sparsifies while its norm falls from √m/3 to 2, beside the law at the pace that fits it best."""
    first = path.iloc[0]
    start = 1 / np.sqrt(first["m"])
    falling = path[(path["l1_norm"] * start <= 1 / 3) & (path["l1_norm"] >= 2)]
    steps, norm = falling["step"], falling["l1_norm"]
    pace = float(((1 / norm - start) / steps).mean())
    law = 1 / (start + pace * steps)
    return {
        **{name: first[name] for name in (*_KEY, "seed")},
        "slope": _power(steps, norm),
        "law_slope": _power(steps, law),
        "pace": 10_000 * pace,
        "clock": pace / (first["rate"] * first["time_per_step"]) if "SGD" in first["optimizer"] else np.nan,
        "departure": np.abs(np.log(norm / law)).max(),
        "count_ratio": (falling["sparsity_count"] / law**2).mean(),
    }


def _power(steps: pd.Series, values: pd.Series) -> float:
    return float(np.polyfit(np.log(steps), np.log(values), 1)[0]) if len(steps) > 2 else np.nan
