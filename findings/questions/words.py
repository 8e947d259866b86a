from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import sparse
from typing_extensions import override

from findings.drawing import curve, finish, panels
from findings.formatting import SHARED, by_threshold, means, told
from findings.networks import COUNTS, narrowest
from findings.question import Answer, Question, Tables
from findings.questions.cooccurrence import at_shared_l1
from findings.statistics import is_less
from polysemantic.storage.run_directories import RUNS

_EXAMPLE = Path(__file__).parents[2] / "examples" / "bag_of_words.py"


class Words(Question):
    title = "Real co-occurrence: where does text lie on the curve of question 2?"
    sweeps = ("words", "words_shuffled")
    reads = ("cooccurrence",)

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
    def tell(self, tables: Tables) -> Answer:
        text = _joined(tables)
        by = {"inputs": "inputs", "neurons m": "n_hidden", "expected companions": "expected_companions"}
        columns = SHARED | {
            "carriers": "carriers",
            "opposite sign": "collisions_opposite_sign",
            "same sign": "collisions_same_sign",
            "error": "reconstruction_error",
        }
        real, shuffled = narrowest(tables["words"]), narrowest(tables["words_shuffled"])
        curve_there = _nearest(narrowest(at_shared_l1(tables["cooccurrence"])), real["expected_companions"].mean())
        return Answer(
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
                "Expected companions do not place real data on the curve. Words come in topics: a word has its "
                "companions, and with most other words it is hardly ever on, so that such pairs are nearly as free to "
                "share a neuron as one-hot features. The same shows in question 2 where features exclude one another "
                "in groups. To predict collisions in real data, count the pairs that never occur together."
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

    @override
    def check(self, tables: Tables) -> None:
        real, shuffled = narrowest(tables["words"]), narrowest(tables["words_shuffled"])
        for count, covered in COUNTS.values():
            assert is_less(shuffled[count], real[count]), count
            assert real[covered].mean() > 0.99, covered


def _nearest(table: pd.DataFrame, companions: float) -> pd.DataFrame:
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
