"""Charts as data: what a section says, before it is drawn on a page or on paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from polysemantic.results.columns import COLUMNS, Column

Value = str | float | None
"""A position on an axis: a number, a word, or nothing, where a curve breaks off."""
Kind = Literal["points", "mean", "line", "band", "theory", "life", "mark"]
Spread = Literal["none", "curves", "points"]
"""What is moved aside on a horizontal axis: nothing, each curve with its points, or points of one place alone."""


@dataclasses.dataclass
class Series:
    """One curve, or one cloud of points.

    Args:
        name: What the legend calls it.
        kind: `points` one network each; `mean` with intervals; `line`; `band` from low to high around a line; `theory`
            dashed; `life` horizontal strokes, broken by nan; `mark` moments on them.
        x: Positions.
        y: Values.
        low: Lower ends of the intervals.
        high: Upper ends.
        colour: Number of the colour.
        panel: Number of the panel.
        dash: Number of the pattern of a `line`, so that curves on top of one another are all seen.
        detail: What hovering tells beyond the numbers.
        rows: Of a chart that offers several measurements, the network or grid point of each value.
    """

    name: str
    kind: Kind
    x: Sequence[Value]
    y: Sequence[Value]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    colour: int = 0
    panel: int = 0
    dash: int = 0
    detail: Sequence[str] | None = None
    rows: Sequence[int] | None = None


@dataclasses.dataclass
class Panel:
    """A pair of axes.

    Args:
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        log_x: Whether the horizontal axis is logarithmic.
        log_y: Likewise the vertical one.
        zero_x: Whether the horizontal axis, unless it is logarithmic, begins at 0.
        zero_y: Likewise the vertical one.
        categories: Whether the vertical axis holds words.
        words: What the horizontal axis holds, in order, if that is words.
        ticks: Where the horizontal axis has ticks; None for round numbers.
        zero_at: Where a logarithmic horizontal axis shows the value 0; None if it has none.
        spread: What is moved aside so that networks of one place do not hide one another.
        limits: Ends of the vertical axis; None for those of the data.
    """

    x: str
    y: str
    log_x: bool = False
    log_y: bool = False
    zero_x: bool = False
    zero_y: bool = False
    categories: bool = False
    words: Sequence[str] = ()
    ticks: list[float] | None = None
    zero_at: float | None = None
    spread: Spread = "none"
    limits: tuple[float, float] | None = None


@dataclasses.dataclass
class Chart:
    """Curves in panels side by side, of one thing or of several to choose from.

    Args:
        key: Short name, for files and for the page.
        title: What it shows.
        panels: Its axes.
        views: What can be chosen, by label; one view offers no choice.
        table: Its numbers, for download.
        chooser: What the choice is between.
        height: Pixels on the page.
        words: What its words mean, on one line below it.
    """

    key: str
    title: str
    panels: list[Panel]
    views: dict[str, list[Series]]
    table: pd.DataFrame
    chooser: str = "networks"
    height: int = 440
    words: str = ""

    @property
    def legend(self) -> bool:
        """Whether a legend tells more than the labels of the axes: there are several names, and these are others."""
        series = [one for view in self.views.values() for one in view]
        return len({one.name for one in series}) > 1 and any(one.name != self.panels[one.panel].y for one in series)


@dataclasses.dataclass
class Measured:
    """A measurement of every network, for a chart that offers several.

    Args:
        label: What the vertical axis calls it.
        networks: Its value of each network, nan where there is none.
        means: A row for each grid point, with its `mean` over networks, the `low` and `high` ends of the 95 % interval
            and the number of `networks`.
        panel: Its vertical axis.
        words: What it means, on one line.
    """

    label: str
    networks: list[float]
    means: pd.DataFrame
    panel: Panel
    words: str = ""


@dataclasses.dataclass
class Against:
    """Any measurement against any setting, beside coverage.

    Args:
        key: Short name.
        title: What it shows.
        charts: The first measurement, with coverage if there is any, against each setting, by its label.
        measures: What can be chosen, by column.
        networks: What hovering tells of each network.
        points: The settings of each grid point in words, a column for each setting by its label.
    """

    key: str
    title: str
    charts: dict[str, Chart]
    measures: dict[str, Measured]
    networks: list[str]
    points: pd.DataFrame


@dataclasses.dataclass
class Phase:
    """A measurement over any two axes.

    Args:
        key: Short name.
        title: What it shows.
        table: One row a grid point: axes, measurements averaged over networks, and their number as `networks`.
        axes: Columns to choose the two axes from.
        measures: Columns to choose the measurement from.
        columns: What is known of these columns.
    """

    key: str
    title: str
    table: pd.DataFrame
    axes: list[str]
    measures: list[str]
    columns: dict[str, Column] = dataclasses.field(default_factory=lambda: COLUMNS)


@dataclasses.dataclass
class Matrices:
    """Weights of a network over training.

    Args:
        name: Which network.
        steps: Steps of the snapshots.
        features: Features shown, in order.
        neurons: Neurons shown, in order.
        weights: Effective weights, (step, feature, neuron).
        products: Encoder times decoder, (step, feature, feature).
    """

    name: str
    steps: list[int]
    features: list[int]
    neurons: list[int]
    weights: np.ndarray
    products: np.ndarray


def largest(values: np.ndarray) -> float:
    """The largest finite distance from 0, on which weights that overflowed have no say; 1 if there is none."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0)) or 1.0


@dataclasses.dataclass
class Slides:
    """Weight matrices with a slider over training.

    Args:
        key: Short name.
        title: What it shows.
        networks: What can be chosen.
    """

    key: str
    title: str
    networks: list[Matrices]


AnyChart = Chart | Against | Phase | Slides
"""Whatever a section can draw."""


@dataclasses.dataclass
class TextTable:
    """Words and numbers in rows.

    Args:
        caption: What it shows.
        columns: Headings.
        rows: Cells.
        words: What its words mean, on one line below it.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    words: str = ""


@dataclasses.dataclass
class Section:
    """A part of the report.

    Args:
        title: Its heading.
        text: Paragraphs.
        charts: What it draws.
        tables: What it lists.
        files: Texts to unfold and to copy, by name.
    """

    title: str
    text: list[str] = dataclasses.field(default_factory=list)
    charts: list[AnyChart] = dataclasses.field(default_factory=list)
    tables: list[TextTable] = dataclasses.field(default_factory=list)
    files: dict[str, str] = dataclasses.field(default_factory=dict)
