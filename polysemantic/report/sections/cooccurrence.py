from polysemantic.report.charts import Chart, Section
from polysemantic.report.groups import counts_table, curves, goes_along, has, settings_panels, thinning_note
from polysemantic.report.labels import heading
from polysemantic.report.material import Material
from polysemantic.results.glossary import glossary

_COUNTS = ["polysemantic_neurons", "coverage"]


def dose(material: Material) -> Section | None:
    """Polysemantic neurons against how often features occur together."""
    x = _dose(material)
    if x is None or not has(material, *_COUNTS):
        return None
    other = [axis for axis in material.axes if axis not in (x, *material.knobs)]
    along = [axis for axis in other if goes_along(material, axis, x)]
    by = [axis for axis in other if axis not in along]
    by += ["data"] if material.results["data"].nunique() > 1 and "data" not in by else []
    title = f"{heading(_COUNTS[0]).capitalize()} against {heading(x)}"
    axes = settings_panels(x, material.results[x], _COUNTS, at_values=x in material.axes)
    views = {"": curves(material, x, _COUNTS, by)}
    chart = Chart("dose", f"{title}: {material.description}", axes, views, counts_table(material, x, _COUNTS, by))
    chart.words = glossary([x, *_COUNTS])
    text = [_caution(material), *(f"{heading(axis).capitalize()} changes along with it." for axis in along)]
    return Section(title, [*text, *thinning_note(material)], [chart])


def _dose(material: Material) -> str | None:
    if has(material, "expected_companions"):
        # The same grid point on another machine may differ in the last digits.
        rounded = material.results["expected_companions"].map(lambda value: float(f"{value:.9g}"))
        material.results["expected_companions"] = rounded
        if rounded.nunique() > 1:
            return "expected_companions"
    return next((knob for knob in material.knobs if knob != "data"), None)


def _caution(material: Material) -> str:
    exposures = material.results["exposures"]
    converged = material.results["converged_step"].notna().mean()
    return (
        f"Co-occurrence also changes how often a feature is seen: {exposures.min():,.0f} to {exposures.max():,.0f} "
        f"exposures of a feature here, and {converged:.0%} of the networks had converged."
    )
