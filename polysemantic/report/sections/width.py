import dataclasses

import numpy as np

from polysemantic.report.charts import Chart, Section, Series
from polysemantic.report.groups import counts_table, curves, has, panels, spans_decades, thinning_note
from polysemantic.report.labels import heading, label
from polysemantic.report.material import Material
from polysemantic.results.predictions import COLUMNS
from polysemantic.theory import expected_polysemantic_neurons, polysemantic_neurons_paper

_TICKS = 12
_COUNTS = ["polysemantic_neurons", "coverage"]
_LAWS = {
    "polysemantic_neurons_paper": polysemantic_neurons_paper,
    "expected_polysemantic_neurons": expected_polysemantic_neurons,
}
_TEXT = "Each faint point is a network, each mark a mean with its 95 % interval over networks; dashed is theory."


def width(material: Material) -> Section | None:
    """Polysemantic neurons against width, with theory, and coverage beside them."""
    if not has(material, "n_hidden", *_COUNTS):
        return None
    by = [axis for axis in material.axes if axis != "n_hidden"]
    several = material.results["n_hidden"].nunique() > 1
    if by and not several:
        return _of_one_width(material, by)
    title = f"{heading(_COUNTS[0]).capitalize()} against {heading('n_hidden')}"
    axes = panels("n_hidden", _COUNTS, log_x=several, log_y=several and spans_decades(material.results[_COUNTS[0]]))
    widths = sorted(map(float, material.results["n_hidden"].unique()))
    for panel in axes:
        panel.ticks = widths if len(widths) <= _TICKS else None
    chart = Chart(
        "width",
        f"{title}: {material.description}",
        axes,
        {"": [*curves(material, "n_hidden", _COUNTS, by), *_theory(material)]},
        counts_table(material, "n_hidden", _COUNTS, by),
    )
    return Section(title, [_TEXT, *thinning_note(material)], [chart])


def _theory(material: Material) -> list[Series]:
    widths = material.results["n_hidden"]
    # A single width is a point of the curve, which is drawn a little to both sides.
    reach = 1.0 if widths.nunique() > 1 else 1.25
    m = np.unique(np.geomspace(max(1.0, widths.min() / reach), widths.max() * reach, 60).round().astype(int)).tolist()
    sizes = sorted(set(material.results["n_features"].tolist()))
    return [
        Series(
            f"theory, {COLUMNS[name]}" + (f", n = {n}" if len(sizes) > 1 else ""),
            "theory",
            m,
            [law(int(n), k) for k in m],
            colour=colour,
        )
        for n in sizes
        for colour, (name, law) in enumerate(_LAWS.items())
    ]


def _of_one_width(material: Material, by: list[str]) -> Section:
    """Grid points beside one another, which on an axis of widths would all stand in one place."""
    results = material.results
    names = [", ".join(material.text(axis, row[axis]) for axis in by) for row in results[by].to_dict("records")]
    named = dataclasses.replace(material, results=results.assign(grid_point=names))
    points = named.results.drop_duplicates("grid_point")
    sizes = list(zip(points["n_features"].astype(int), points["n_hidden"].astype(int), strict=True))
    laws = [
        Series(
            f"theory, {COLUMNS[name]}", "theory", list(points["grid_point"]), [law(*size) for size in sizes], colour=at
        )
        for at, (name, law) in enumerate(_LAWS.items())
    ]
    title = f"{heading(_COUNTS[0]).capitalize()} of each grid point"
    axes = panels("grid_point", _COUNTS)
    for panel in axes:
        panel.x, panel.words = ", ".join(map(label, by)), list(points["grid_point"])
    chart = Chart(
        "width",
        f"{title}: {material.description}",
        axes,
        {"": [*curves(named, "grid_point", _COUNTS, []), *laws]},
        counts_table(named, "grid_point", _COUNTS, []),
    )
    return Section(title, [_TEXT, *thinning_note(material)], [chart])
