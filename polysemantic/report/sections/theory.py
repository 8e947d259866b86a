from polysemantic.report.charts import Section, TextTable
from polysemantic.report.material import Material
from polysemantic.results.glossary import glossary
from polysemantic.results.predictions import BY_SIZE, HEADINGS, LEGEND, cells, predictions, unmet_anywhere


def theory(material: Material) -> Section:
    """What theory predicts for the sizes at hand, where some networks have what it assumes."""
    setups = [point.setup for point in material.points]
    # Of networks of one size, those that meet the most assumptions.
    best = {(s.n_features, s.n_hidden): s for s in sorted(setups, key=lambda s: sum(one.holds(s) for one in BY_SIZE))}
    rows = cells(predictions(best[size] for size in sorted(best)))
    lacking = [
        f"{sum(not one.holds(s) for s in setups)} of {len(setups)} grid points here lack what {one.formula} assumes: "
        f"{', '.join(missing)}."
        for one in BY_SIZE
        if (missing := unmet_anywhere(one, setups))
    ]
    table = TextTable("By size; a dash where no network here has what is assumed", list(HEADINGS.values()), rows)
    table.words = glossary(["n_features", "n_hidden"])
    return Section("Predictions", [*LEGEND, *lacking], tables=[table])
