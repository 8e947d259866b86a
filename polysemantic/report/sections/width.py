import numpy as np

from polysemantic.predictions import COLUMNS
from polysemantic.report.charts import Chart, Section, Series
from polysemantic.report.groups import counts_table, curves, has, panels, spans_decades, thinning_note
from polysemantic.report.labels import label
from polysemantic.report.material import Material
from polysemantic.theory import expected_polysemantic_neurons, polysemantic_neurons_paper

_TICKS = 12
_COUNTS = ["polysemantic_neurons", "coverage"]


def width(material: Material) -> Section | None:
    """Polysemantic neurons against width, with theory, and coverage beside them."""
    if not has(material, "n_hidden", *_COUNTS):
        return None
    by = [axis for axis in material.axes if axis != "n_hidden"]
    several = material.results["n_hidden"].nunique() > 1
    title = f"{label(_COUNTS[0]).capitalize()} against {label('n_hidden')}"
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
    text = "Each faint point is a network, each mark a mean with its 95 % interval over networks; dashed is theory."
    return Section(title, [text, *thinning_note(material)], [chart])


def _theory(material: Material) -> list[Series]:
    widths = material.results["n_hidden"]
    # A single width is a point of the curve, which is drawn a little to both sides.
    reach = 1.0 if widths.nunique() > 1 else 1.25
    m = np.unique(np.geomspace(max(1.0, widths.min() / reach), widths.max() * reach, 60).round().astype(int)).tolist()
    sizes = sorted(set(material.results["n_features"].tolist()))
    laws = {"polysemantic_neurons_paper": polysemantic_neurons_paper}
    laws |= {"expected_polysemantic_neurons": expected_polysemantic_neurons}
    return [
        Series(
            f"theory, {COLUMNS[name]}" + (f", n = {n}" if len(sizes) > 1 else ""),
            "theory",
            m,
            [law(int(n), k) for k in m],
            colour=colour,
        )
        for n in sizes
        for colour, (name, law) in enumerate(laws.items())
    ]
