"""The command `theory`: predictions for given sizes."""

from __future__ import annotations

import itertools

from polysemantic.cli.arguments import OneLineArguments, whole_numbers
from polysemantic.results.predictions import COLUMNS, LEGEND, cells, predictions


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
