from polysemantic.report.charts import Chart, Section
from polysemantic.report.groups import panels
from polysemantic.report.labels import heading
from polysemantic.report.material import Material
from polysemantic.report.over_training import NO_HISTORY, band, histories, history_table, limit_note
from polysemantic.results.glossary import glossary

_COUNTS = ["polysemantic_neurons", "coverage", "loss"]


def training(material: Material) -> Section | None:
    """Counts, coverage and loss while training."""
    found = histories(material, _COUNTS)
    if not found:
        return None
    views = {
        name: [series for panel, column in enumerate(_COUNTS) for series in band(rows, column, panel)]
        for name, rows in found.items()
    }
    title = f"{heading(_COUNTS[0]).capitalize()}, coverage and {heading(_COUNTS[2])} over {heading('step')}"
    table = history_table(found, _COUNTS)
    axes = panels("step", _COUNTS)
    # It falls by orders of magnitude at once, and what matters comes after.
    axes[2].log_y = all((rows[_COUNTS[2]].dropna() > 0).all() for rows in found.values())
    chart = Chart("training", f"{title}: {material.description}", axes, views, table)
    chart.words = glossary(_COUNTS)
    left = limit_note(material, found=found, lacking=NO_HISTORY)
    return Section(title, ["Bands: 95 % interval of the mean over networks.", *left], [chart])
