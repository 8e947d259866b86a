"""The results of an ensemble as tables: for files and for people."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text
from torch import Tensor

from polysemantic.model.ensemble import Ensemble, short_text
from polysemantic.results.columns import COLUMNS, SETTING, Column, look_up
from polysemantic.results.converged import Converged
from polysemantic.results.glossary import glossary
from polysemantic.results.intervals import interval_of, interval_text, note_on_seeds

_WIDTH = 80
# Columns of the user's metrics in one table: with five numbers and their intervals a terminal is full.
_TOGETHER = 5
_BAND = "polysemantic_neurons_band"
_SHOWN = (
    "polysemantic_neurons",
    _BAND,
    "coverage",
    "carriers",
    "collisions_opposite_sign",
    "collisions_same_sign",
)


def labels(ensemble: Ensemble, n_features: int, n_hidden: int, data: str) -> pd.DataFrame:
    """What each instance is: its index, its seed and its value of every varied name."""
    points = pd.DataFrame(
        {name: ensemble.values(name).numpy() for name in ensemble.vary}, index=range(ensemble.n_instances)
    )
    points.insert(0, "seed", ensemble.seed_index.numpy())
    points.insert(0, "instance", range(ensemble.n_instances))
    return points.assign(n_features=n_features, n_hidden=n_hidden, data=data)


def with_columns(
    table: pd.DataFrame, values: Mapping[str, Tensor], known: Mapping[str, Column] = COLUMNS
) -> pd.DataFrame:
    """A table with measurements, one column each; those that count become integers that may be missing."""
    series = {name: pd.Series(column.numpy(), index=table.index) for name, column in values.items()}
    # A user's metric may count until it does not: that is told when it is measured, and no reason to lose the table.
    counts = {name for name, v in series.items() if look_up(name, known).counts and (v.dropna() % 1 == 0).all()}
    return table.assign(**{name: v.astype("Int64") if name in counts else v for name, v in series.items()})


def summary(results: pd.DataFrame, varied: list[str], theory: str | None = None) -> Group:
    """Polysemantic neurons of each grid point, mean and 95 % interval over seeds, beside coverage.

    Below the table stands how many networks had converged, what theory expects and what the words mean.

    Args:
        results: The table of results of one run.
        varied: The columns that name its grid points.
        theory: What theory expects of it, in words (`predictions.expected_counts`).
    """
    n, m = int(results["n_features"].iloc[0]), int(results["n_hidden"].iloc[0])
    title = f"{len(results)} instances, {n} features, {m} neurons, step {int(results['step'].iloc[0])}"
    shown = list(_SHOWN)
    table = _wide(results, varied, shown, COLUMNS)
    if too_wide(table):
        # The count in the band is for comparison with the paper alone.
        shown.remove(_BAND)
        table = _narrow(results, varied, shown, COLUMNS)
    table.title, table.title_justify = title, "left"
    fewest = min(len(rows) for _, rows in point_rows(results, varied))
    words = shown if theory is None else [*shown, "n", "m"]
    return explained(table, results, fewest, [theory, glossary(words, short=True)])


def explained(table: Table, results: pd.DataFrame, fewest: int, lines: Iterable[str | None]) -> Group:
    """A table of means with lines below it, the first of which say how the numbers are to be read.

    Args:
        table: The table.
        results: What its means are over.
        fewest: The fewest networks that any of them is over.
        lines: What else to say; None is no line.
    """
    converged = Converged.of(results)
    first = f"mean ± 95 % interval over seeds; {converged.words}"
    told = [first, converged.advice, note_on_seeds(fewest), *lines]
    return Group(table, *(Text(line) for line in told if line))


def own_summaries(results: pd.DataFrame, varied: list[str], known: Mapping[str, Column]) -> Iterator[Table]:
    """The columns of the user's metrics at each grid point, in tables of a few, which a terminal shows whole."""
    own = [name for name, column in known.items() if name not in COLUMNS and column.group != SETTING]
    for at in range(0, len(own), _TOGETHER):
        shown = own[at : at + _TOGETHER]
        table = _wide(results, varied, shown, known)
        yield _narrow(results, varied, shown, known) if too_wide(table) else table


def _wide(results: pd.DataFrame, varied: list[str], shown: Iterable[str], known: Mapping[str, Column]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in (*varied, *(known[name].short_label for name in shown)):
        table.add_column(heading, justify="right", no_wrap=True)
    for point, rows in point_rows(results, varied):
        table.add_row(*point.values(), *(within_sizes(rows, name, known) for name in shown))
    return table


def _narrow(results: pd.DataFrame, varied: list[str], shown: Iterable[str], known: Mapping[str, Column]) -> Table:
    """One name of the grid point a line, and headings of several lines."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("grid point", overflow="fold")
    for name in shown:
        heading = known[name].short_label.replace(" ", "\n").replace("polysem", "poly-\nsem")
        table.add_column(heading, justify="right", no_wrap=True)
    for point, rows in point_rows(results, varied):
        values = [narrow(within_sizes(rows, name, known)) for name in shown]
        table.add_row("\n".join(f"{name} = {text}" for name, text in point.items()) or "all", *values)
    return table


def point_rows(results: pd.DataFrame, varied: list[str]) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """The values of each grid point in words, and its rows."""
    for _, rows in results.groupby(varied, sort=False, dropna=False) if varied else [((), results)]:
        yield {name: value_text(rows[name].iloc[0], results[name]) for name in varied}, rows


def value_text(value: Any, column: pd.Series[Any]) -> str:
    """A value of an axis; a sweep's may be a word, or missing."""
    if isinstance(value, (bool, str)) or not isinstance(value, numbers.Real):
        return str(value)
    number = float(value)
    return "-" if math.isnan(number) else short_text(number, column.dropna().unique())


def narrow(number: str) -> str:
    """A mean with its interval in less room: ends stand below it."""
    return number.replace(" ± ", "±").replace(" [", "\n[")


def too_wide(table: Table) -> bool:
    """Whether a table is wider than a terminal."""
    return table.__rich_measure__(Console(width=10_000), Console(width=10_000).options).maximum > _WIDTH


def within_sizes(rows: pd.DataFrame, name: str, known: Mapping[str, Column] = COLUMNS) -> str:
    """`mean_and_interval` of a column, whose interval ends at the sizes of the networks at the latest."""
    sizes = {size: int(rows[size].max()) for size in ("n_features", "n_hidden")}
    return mean_and_interval(rows[name], {name: look_up(name, known).within(**sizes)})


def mean_and_interval(values: pd.Series[float], known: Mapping[str, Column] = COLUMNS) -> str:
    """`71.2 ± 2.4` of a column, the mean alone without an interval, a dash without a value."""
    numbers = torch.tensor(values.to_numpy(dtype=float, na_value=math.nan))
    mean, low, high = (float(end) for end in interval_of(str(values.name), numbers, known))
    if math.isnan(mean):
        return "-"
    digits = 1 if abs(mean) >= 10 else 2
    return interval_text(mean, low, high, digits) if low < high else f"{mean:.{digits}f}"
