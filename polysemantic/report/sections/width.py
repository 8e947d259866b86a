from polysemantic.report.charts import Chart, Section
from polysemantic.report.groups import counts_table, curves, has, settings_panels, spans_decades, thinning_note
from polysemantic.report.labels import heading
from polysemantic.report.material import Material
from polysemantic.report.theory_curves import note, over_widths
from polysemantic.results.glossary import glossary

_COUNTS = ["polysemantic_neurons", "coverage"]
_TEXT = "Each faint point is a network, each mark a mean with its 95 % interval over networks."
_WORDS = glossary([*_COUNTS, "n", "m"])


def width(material: Material) -> Section | None:
    """Polysemantic neurons against width, with theory, and coverage beside them."""
    if not has(material, "n_hidden", *_COUNTS):
        return None
    by = [axis for axis in material.axes if axis != "n_hidden"]
    several = material.results["n_hidden"].nunique() > 1
    if by and not several:
        # All would stand in one place; against another setting they do not.
        return None
    title = f"{heading(_COUNTS[0]).capitalize()} against {heading('n_hidden')}"
    log_y = several and spans_decades(material.results[_COUNTS[0]])
    axes = settings_panels("n_hidden", material.results["n_hidden"], _COUNTS, log_y=log_y)
    chart = Chart(
        "width",
        f"{title}: {material.description}",
        axes,
        {"": [*curves(material, "n_hidden", _COUNTS, by), *over_widths(material)]},
        counts_table(material, "n_hidden", _COUNTS, by),
        words=_WORDS,
    )
    return Section(title, [_TEXT, note(material), *thinning_note(material)], [chart])
