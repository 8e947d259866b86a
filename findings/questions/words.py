from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy import sparse
from torch import Tensor
from typing_extensions import override

from findings.drawing import curve, finish, panels
from findings.formatting import SHARED, by_threshold, means, told
from findings.measured import measured
from findings.networks import narrowest
from findings.question import Answer, Question, Tables, together
from findings.questions.cooccurrence import at_shared_l1
from polysemantic.data import FeatureFile
from polysemantic.functional import find_collisions
from polysemantic.results.runs import Run
from polysemantic.storage.run_directories import RUNS

# Weights from which a word is whole on a neuron, the least of the paper's band.
_WHOLE = 0.8
# Of pairs on one neuron: share that never occurs together, of two whole words; how often the others do, in times of
# independent words. Of all pairs: share that never does.
WHOLE_NEVER, PARTS_LIFT, NEVER = "whole_never_together", "parts_lift", "never_together"
_EXAMPLE = Path(__file__).parents[2] / "examples" / "bag_of_words.py"


class Words(Question):
    title = "Real co-occurrence: where does text lie on the curve of question 2?"
    sweeps = ("words", "words_shuffled")
    reads = ("cooccurrence", "dial")

    @override
    def prepare(self, sweep: str, done: Mapping[str, Path]) -> dict[str, Any]:
        matrix, _ = runpy.run_path(str(_EXAMPLE))["bag_of_words"](32)
        if sweep == "words_shuffled":
            matrix = _shuffled(matrix)
        path = Path(RUNS) / f"{sweep}.npz"
        path.parent.mkdir(exist_ok=True)
        sparse.save_npz(path, matrix)
        return {"data.path": str(path)}

    @override
    def gather(self, sweep: str, directory: Path) -> Tables:
        return {sweep: measured(directory, _together)}

    @override
    def tell(self, tables: Tables) -> Answer:
        text = _joined(tables)
        by = {"inputs": "inputs", "neurons m": "n_hidden", "expected companions": "expected_companions"}
        columns = SHARED | {
            "carriers": "carriers",
            "opposite sign": "collisions_opposite_sign",
            "same sign": "collisions_same_sign",
            "two whole, never together": WHOLE_NEVER,
            "others, times independent": PARTS_LIFT,
            "all pairs, never together": NEVER,
            "error": "reconstruction_error",
        }
        real, shuffled = narrowest(tables["words"]), narrowest(tables["words_shuffled"])
        curve_there = nearest(narrowest(at_shared_l1(tables["cooccurrence"])), real["expected_companions"].mean())
        exclusive = nearest_dial(tables)
        return Answer(
            short=(
                f"Above it: {real['polysemantic_neurons'].mean():.2g} polysemantic neurons where independent features "
                f"with as many companions have {curve_there['polysemantic_neurons'].mean():.2g}."
            ),
            networks=together(real, shuffled, curve_there),
            claim=(
                "Text lies above the curve: its words occur together as often as features that hardly collide, and "
                f"they collide. At n = m = 32 {told(real['polysemantic_neurons'])} neurons are polysemantic with "
                f"{real['expected_companions'].mean():.2g} expected companions (coverage {told(real['coverage'])}); "
                "with each word in as many sentences as before but chosen at random "
                f"{told(shuffled['polysemantic_neurons'])} with {shuffled['expected_companions'].mean():.2g}, and "
                f"independent features of equal frequency {told(curve_there['polysemantic_neurons'])} with "
                f"{curve_there['expected_companions'].mean():.2g}."
            ),
            numbers="\n\n".join([means(text, by, columns), "By threshold:", by_threshold(text, by)]),
            meaning=(
                "Expected companions do not place real data on the curve. Words come in topics: "
                f"{real[NEVER].mean():.0%} of the pairs of words never occur together in the text, "
                f"{shuffled[NEVER].mean():.0%} in the shuffled one. Of the pairs that share a neuron as two whole "
                f"words (m = n) a share of {told(real[WHOLE_NEVER])} never does: such pairs are as free to share as "
                "one-hot features. The other pairs on one neuron, rotated ones, occur together "
                f"{told(real[PARTS_LIFT])} times as often as "
                "independent words would. The same shows in question 2 where features exclude one another in groups: "
                f"with {exclusive['expected_companions'].mean():.2g} companions from other groups "
                f"{told(exclusive['polysemantic_neurons'])} neurons are polysemantic."
            ),
            limits=(
                "Thirty-two frequent words of one text, Python's own documentation, sentence by sentence, as on or "
                "off. Frequencies differ between words, in the shuffled text too, but not in question 2."
            ),
        )

    @override
    def draw(self, tables: Tables) -> Figure:
        figure, axes = panels(2)
        for panel, column in zip(axes, ("polysemantic_neurons", "coverage"), strict=True):
            for at, (m, rows) in enumerate(at_shared_l1(tables["cooccurrence"]).groupby("n_hidden")):
                curve(panel, rows, "expected_companions", column, name=f"independent, m = {m}", at=at)
                for name in self.sweeps:
                    found = tables[name][tables[name]["n_hidden"] == m]
                    marked = "words" if name == "words" else "words, shuffled"
                    panel.plot(
                        found["expected_companions"].mean(),
                        found[column].mean(),
                        "*" if name == "words" else "x",
                        color="black",
                        markersize=9,
                        label=marked if at == 0 else None,
                        zorder=9,
                    )
            finish(panel, "expected_companions", column, legend=panel is axes[0])
            panel.set_xscale("symlog", linthresh=0.1)
        return figure


def _together(run: Run) -> Mapping[str, Tensor]:
    """How often words that share a neuron occur together, two whole ones and others; of all pairs who never do."""
    joint = FeatureFile(run.config["data"]["init_args"]["path"]).cooccurrence()[0]
    lift = joint / torch.outer(joint.diag(), joint.diag())
    W = run.model["W_enc"]
    found = find_collisions(W)
    at, i, j = found.instance, found.feature_i, found.feature_j
    whole = torch.minimum(W[at, i, found.neuron].abs(), W[at, j, found.neuron].abs()) >= _WHOLE
    pairs = joint[tuple(torch.triu_indices(len(joint), len(joint), offset=1))]
    return {
        WHOLE_NEVER: _means(joint[i, j] == 0, at, whole, len(W)),
        PARTS_LIFT: _means(lift[i, j], at, ~whole, len(W)),
        NEVER: (pairs == 0).double().mean().expand(len(W)),
    }


def _means(values: Tensor, at: Tensor, which: Tensor, size: int) -> Tensor:
    """Mean in each network over some of its collisions, nan without any."""
    sums = torch.bincount(at[which], values[which].double(), minlength=size)
    return sums / torch.bincount(at[which], minlength=size)


def nearest_dial(tables: Tables) -> pd.DataFrame:
    """The narrowest networks on mutually exclusive groups of features."""
    dialled = narrowest(tables["dial"])
    rows: pd.DataFrame = dialled[dialled["dial"] == dialled["dial"].min()]
    return rows


def nearest(table: pd.DataFrame, companions: float) -> pd.DataFrame:
    """The networks whose expected companions are nearest to a number."""
    distance = (table["expected_companions"] - companions).abs()
    rows: pd.DataFrame = table[distance <= distance.min() + 1e-6]
    return rows


def _shuffled(matrix: sparse.csr_array) -> sparse.csr_array:
    """Each word in as many sentences as before, chosen at random: the same marginals, independent."""
    rng = np.random.default_rng(0)
    dense = matrix.toarray()
    return sparse.csr_array(rng.permuted(dense, axis=0))


def _joined(tables: Tables) -> pd.DataFrame:
    """Text, shuffled text and the nearest independent features."""
    return pd.concat(
        [
            tables["words"].assign(inputs="words"),
            tables["words_shuffled"].assign(inputs="words, shuffled"),
        ]
    ).round({"expected_companions": 3})
