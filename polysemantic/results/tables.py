"""The results of an ensemble as tables: for files and for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import pandas as pd
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import Tensor

from polysemantic.model.ensemble import Ensemble, short_text
from polysemantic.results.intervals import interval_of, interval_text
from polysemantic.theory import expected_polysemantic_neurons, polysemantic_neurons_paper

_COLUMNS = 80
_SHOWN = {
    "polysemantic": "polysemantic_neurons",
    "in band": "polysemantic_neurons_band",
    "coverage": "coverage",
    "carriers": "carriers",
    "opposite": "collisions_opposite_sign",
    "same sign": "collisions_same_sign",
}


def labels(ensemble: Ensemble, n_features: int, n_hidden: int, data: str) -> pd.DataFrame:
    """What each instance is: its index, its seed and its value of every varied name."""
    points = pd.DataFrame(
        {name: ensemble.values(name).numpy() for name in ensemble.vary}, index=range(ensemble.n_instances)
    )
    points.insert(0, "seed", ensemble.seed_index.numpy())
    points.insert(0, "instance", range(ensemble.n_instances))
    return points.assign(n_features=n_features, n_hidden=n_hidden, data=data)


def with_columns(table: pd.DataFrame, columns: Mapping[str, Tensor], whole: set[str]) -> pd.DataFrame:
    """A table with measurements, one column each; those in `whole` become integers that may be missing."""
    values = {name: pd.Series(column.numpy(), index=table.index) for name, column in columns.items()}
    return table.assign(**{name: v.astype("Int64") if name in whole else v for name, v in values.items()})


def summary(results: pd.DataFrame, varied: list[str]) -> Table:
    """Polysemantic neurons of each grid point, mean and 95 % interval over seeds, beside coverage and theory."""
    n, m = int(results["n_features"].iloc[0]), int(results["n_hidden"].iloc[0])
    title = f"{len(results)} instances, {n} features, {m} neurons, step {int(results['step'].iloc[0])}"
    table = _wide(results, varied)
    if too_wide(table):
        table = _narrow(results, varied)
    table.title, table.title_justify = title, "left"
    expected = expected_polysemantic_neurons(n, m)
    table.caption = f"mean ± 95 % interval over seeds; theory: n²/4m = {polysemantic_neurons_paper(n, m):.4g}" + (
        "" if math.isnan(expected) else f", n(n-1)/2(2m-1) = {expected:.4g} polysemantic neurons"
    )
    table.caption_justify = "left"
    return table


def _wide(results: pd.DataFrame, varied: list[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in (*varied, *_SHOWN):
        table.add_column(heading, justify="right", no_wrap=True)
    for point, rows in _by_point(results, varied):
        table.add_row(*point.values(), *(mean_and_interval(rows[name]) for name in _SHOWN.values()))
    return table


def _narrow(results: pd.DataFrame, varied: list[str]) -> Table:
    """One name of the grid point a line, headings of two lines, and without the count for comparison with the paper."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("grid point", overflow="fold")
    shown = {heading: name for heading, name in _SHOWN.items() if name != "polysemantic_neurons_band"}
    for heading in shown:
        table.add_column(heading.replace(" ", "\n").replace("polysem", "poly-\nsem"), justify="right", no_wrap=True)
    for point, rows in _by_point(results, varied):
        values = [narrow(mean_and_interval(rows[name])) for name in shown.values()]
        table.add_row("\n".join(f"{name} = {text}" for name, text in point.items()) or "all", *values)
    return table


def _by_point(results: pd.DataFrame, varied: list[str]) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """The values of each grid point in words, and its rows."""
    for _, rows in results.groupby(varied, sort=False) if varied else [((), results)]:
        yield {name: short_text(rows[name].iloc[0], results[name].unique()) for name in varied}, rows


def narrow(number: str) -> str:
    """A mean with its interval in less room: ends stand below it."""
    return number.replace(" ± ", "±").replace(" [", "\n[")


def too_wide(table: Table) -> bool:
    """Whether a table is wider than a terminal."""
    return table.__rich_measure__(Console(width=10_000), Console(width=10_000).options).maximum > _COLUMNS


def mean_and_interval(values: pd.Series[float]) -> str:
    """`71.2 ± 2.4` of a column, the mean alone without a spread, a dash without a value."""
    known = torch.tensor(values.to_numpy(dtype=float, na_value=math.nan))
    mean, low, high = (float(end) for end in interval_of(str(values.name), known))
    if math.isnan(mean):
        return "-"
    digits = 1 if abs(mean) >= 10 else 2
    return interval_text(mean, low, high, digits) if low < high else f"{mean:.{digits}f}"
