"""The command `theory`: predictions for given sizes, and what each assumes."""

from __future__ import annotations

import itertools

from polysemantic.cli.arguments import OneLineArguments, whole_numbers


def main(args: list[str] | None = None) -> int:
    """Print the predictions for every combination of sizes, and give the exit status."""
    parser = OneLineArguments("python -m polysemantic theory", description="Predictions, without any training.")
    parser.add_argument("--n_features", type=whole_numbers, required=True, metavar="N,...", help="features")
    parser.add_argument("--n_hidden", type=whole_numbers, required=True, metavar="M,...", help="neurons")
    sizes = parser.parse_args(args)
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from polysemantic.results.predictions import HEADINGS, LEGEND, cells, predictions
    from polysemantic.results.setups import Setup

    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in HEADINGS.values():
        shown.add_column(heading, justify="right", no_wrap=True)
    setups = itertools.starmap(Setup, itertools.product(sizes.n_features, sizes.n_hidden))
    for row in cells(predictions(setups)):
        shown.add_row(*row)
    console = Console()
    console.print(shown, *LEGEND, sep="\n", highlight=False, markup=False)
    return 0
