import dataclasses
from collections.abc import Iterator

import pandas as pd

from polysemantic.report.charts import Against, Chart, Measured, Section, Series
from polysemantic.report.groups import (
    goes_along,
    has,
    network_details,
    numbers,
    positions,
    settings_panels,
    spans_decades,
    split,
    statistics,
    thinned,
    thinning_note,
)
from polysemantic.report.labels import MEASURES, heading, label
from polysemantic.report.material import Material
from polysemantic.report.scales import is_number
from polysemantic.report.theory_curves import at_points, note
from polysemantic.results.columns import look_up
from polysemantic.results.glossary import glossary

_COUNT, _COVERAGE = "polysemantic_neurons", "coverage"
_TEXT = (
    "Each faint point is a network, each mark a mean with its 95 % interval over networks. Curves stand side by side "
    "at each setting, and so do networks in the order of their seeds: the tick below them says which setting it is."
)
_ZERO = "On a logarithmic axis, which has no place for 0, a dotted line sets 0 apart."


def against(material: Material) -> Section | None:
    """Any measurement against any setting that differs."""
    measures = [name for name in (*MEASURES, *material.own_columns) if has(material, name)]
    numbers_first = [axis for axis in material.axes if is_number(material.results[axis])]
    across = list(dict.fromkeys([*numbers_first, *material.axes]))
    if not across or not measures:
        return None
    groups = material.results.groupby(material.axes, sort=True, dropna=False)
    points = groups.size().index.to_frame(index=False)
    networks = thinned(material, material.results.assign(grid_point=groups.ngroup())).reset_index(drop=True)
    measured = {name: _measured(material, networks, name) for name in measures}
    # A row of the results for each grid point.
    rows = groups[["run", "point"]].first().reset_index(drop=True)
    theory = rows if measures[0] == _COUNT else rows.iloc[:0]
    shown = {name: measured[name] for name in dict.fromkeys([measures[0], *({_COVERAGE} & {*measures})])}
    title = (
        f"{heading(measures[0]).capitalize()} and other measurements against {_alternatives([*map(heading, across)])}"
    )
    chart = Against(
        "against",
        f"{title}: {material.description}",
        {label(axis): _chart(material, axis, networks, points, shown, theory) for axis in across},
        measured,
        network_details(material, networks),
        pd.DataFrame({label(axis): [material.text(axis, value) for value in points[axis]] for axis in material.axes}),
    )
    zero = any(panel.zero_at is not None for one in chart.charts.values() for panel in one.panels)
    return Section(title, [_TEXT, note(material), *([_ZERO] if zero else []), *thinning_note(material)], [chart])


def _measured(material: Material, networks: pd.DataFrame, name: str) -> Measured:
    """A measurement of every network and grid point, and its vertical axis."""
    values, column = material.results[name], look_up(name, material.columns)
    (panel,) = settings_panels(material.axes[0], material.results[material.axes[0]], [name], known=material.columns)
    return Measured(
        label(name, material.columns),
        numbers(networks[name]),
        statistics(material.results, material.axes, name, material.columns),
        dataclasses.replace(panel, log_y=not column.is_share and not column.from_zero and spans_decades(values)),
        glossary(dict.fromkeys([name, _COVERAGE]), material.columns),
    )


def _chart(
    material: Material,
    x: str,
    networks: pd.DataFrame,
    points: pd.DataFrame,
    shown: dict[str, Measured],
    theory: pd.DataFrame,
) -> Chart:
    """Measurements against a setting, a colour for each combination of the others."""
    by = [axis for axis in material.axes if axis != x and not goes_along(material, axis, x)]
    series = [
        one
        for colour, (name, rows) in enumerate(split(material, by, _in_order(points, x)))
        for panel, measured in enumerate(shown.values())
        for one in _curve(measured, networks, rows, x, Series(name, "mean", [], [], colour=colour, panel=panel))
    ]
    axes = settings_panels(x, material.results[x], [*shown], known=material.columns)
    groups = split(material, by, _in_order(points, x)) if len(theory) else ()
    laws = [law for _, rows in groups for law in at_points(material, theory.loc[rows.index], positions(rows[x]))]
    # Curves of equal sizes have one curve of theory.
    different = {(law.name, *map(str, law.x), *map(str, law.y)): law for law in laws}
    return Chart("against", "", axes, {"": [*series, *different.values()]}, pd.DataFrame())


def _curve(measured: Measured, networks: pd.DataFrame, points: pd.DataFrame, x: str, empty: Series) -> Iterator[Series]:
    """The networks of some grid points, and their means."""
    of_points = networks[networks["grid_point"].isin(points.index)]
    found = [measured.networks[at] for at in of_points.index]
    yield dataclasses.replace(empty, kind="points", x=positions(of_points[x]), y=found, rows=of_points.index.tolist())
    low, mean, high = (numbers(measured.means.loc[points.index, end]) for end in ("low", "mean", "high"))
    yield dataclasses.replace(empty, x=positions(points[x]), y=mean, low=low, high=high, rows=points.index.tolist())


def _in_order(points: pd.DataFrame, x: str) -> pd.DataFrame:
    """The grid points that have a setting, by its value."""
    known = points.dropna(subset=[x])
    return known.sort_values(x, kind="stable", key=lambda of: of if is_number(of) else of.astype(str))


def _alternatives(names: list[str]) -> str:
    """Names as people list what can be chosen.

    Example:
        >>> _alternatives(["neurons m", "probability", "L1 coefficient"])
        'neurons m, probability or L1 coefficient'
    """
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
