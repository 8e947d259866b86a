"""Predictions of theory for given sizes, as a table."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from polysemantic import theory

COLUMNS = {
    "n_features": "features n",
    "n_hidden": "neurons m",
    "polysemantic_neurons_paper": "n²/4m",
    "expected_polysemantic_neurons": "n(n-1)/2(2m-1)",
    "expected_opposite_sign_pairs": "n(n-1)/4m",
}
"""Heading of each column of `predictions`."""

LEGEND = (
    "n²/4m: polysemantic neurons, the curve of arXiv:2312.03096.",
    "n(n-1)/2(2m-1): polysemantic neurons when features take distinct signed slots at random; none beyond n = 2m.",
    "n(n-1)/4m: pairs of features that share their largest neuron with opposite signs at initialisation.",
)
"""One line on each predicted column."""


def predictions(sizes: Iterable[tuple[int, int]]) -> pd.DataFrame:
    """Predictions of theory for networks of given sizes, one row each.

    Args:
        sizes: Pairs of n_features and n_hidden.

    Example:
        >>> predictions([(256, 1024)])["polysemantic_neurons_paper"].tolist()
        [16.0]
    """
    functions = (
        theory.polysemantic_neurons_paper,
        theory.expected_polysemantic_neurons,
        theory.expected_opposite_sign_pairs,
    )
    rows = [(n, m, *(function(n, m) for function in functions)) for n, m in sizes]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def cells(table: pd.DataFrame) -> list[list[str]]:
    """The numbers of `predictions` as text, a dash where a number is nan."""
    return [["-" if value != value else f"{value:.6g}" for value in row] for row in table.itertuples(index=False)]
