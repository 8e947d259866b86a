from polysemantic.report.charts import Chart, Section
from polysemantic.report.groups import panels
from polysemantic.report.labels import label
from polysemantic.report.material import Material
from polysemantic.report.over_training import band, histories, history_table, limit_note

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
    title = f"{label(_COUNTS[0]).capitalize()}, coverage and {label(_COUNTS[2])} over {label('step')}"
    table = history_table(found, _COUNTS)
    chart = Chart("training", f"{title}: {material.description}", panels("step", _COUNTS), views, table)
    return Section(title, ["Bands: 95 % interval of the mean over networks.", *limit_note(material)], [chart])
