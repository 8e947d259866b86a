"""Predictions for given sizes, as a table and as a command."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pandas as pd

from polysemantic import theory
from polysemantic.cli.arguments import OneLineArguments, whole_numbers

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
"""What the predicted columns are."""


def predictions(sizes: Iterable[tuple[int, int]]) -> pd.DataFrame:
    """What theory predicts for networks of given sizes.

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
    """The numbers of `predictions` in words, a dash where there is none."""
    return [["-" if value != value else f"{value:.6g}" for value in row] for row in table.itertuples(index=False)]


def main(args: list[str] | None = None) -> int:
    """Print the predictions for every combination of sizes, and give the exit status."""
    parser = OneLineArguments("python -m polysemantic theory", description="Predictions, without any training.")
    parser.add_argument("--n_features", type=whole_numbers, required=True, metavar="N,...", help="features")
    parser.add_argument("--n_hidden", type=whole_numbers, required=True, metavar="M,...", help="neurons")
    sizes = parser.parse_args(args)
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in COLUMNS.values():
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in cells(predictions(itertools.product(sizes.n_features, sizes.n_hidden))):
        shown.add_row(*row)
    console = Console()
    console.print(shown, *LEGEND, sep="\n", highlight=False)
    return 0
