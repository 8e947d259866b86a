from polysemantic.report.charts import Section, TextTable
from polysemantic.report.material import Material
from polysemantic.results.predictions import COLUMNS, LEGEND, cells, predictions


def theory(material: Material) -> Section:
    """What theory predicts for the sizes at hand."""
    table = material.results[["n_features", "n_hidden"]].drop_duplicates().sort_values(["n_features", "n_hidden"])
    sizes = [(int(n), int(m)) for n, m in table.itertuples(index=False)]
    rows = cells(predictions(sizes))
    return Section("Predictions", list(LEGEND), tables=[TextTable("By size", list(COLUMNS.values()), rows)])
