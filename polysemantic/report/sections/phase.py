import pandas as pd

from polysemantic.report.charts import Phase, Section
from polysemantic.report.groups import diverged_note, has
from polysemantic.report.labels import MEASURES, heading
from polysemantic.report.material import Material
from polysemantic.results.glossary import glossary


def phase(material: Material) -> Section | None:
    """Any measurement over any two axes."""
    measures = [name for name in (*MEASURES, *material.own_columns) if has(material, name)]
    if len(material.axes) < 2 or not measures:
        return None
    results = material.results.assign(networks=material.results["diverged_step"].isna().astype(int))
    groups = results.groupby(material.axes, sort=True, dropna=False)
    table = pd.DataFrame({name: groups[name].mean() for name in measures} | {"networks": groups["networks"].sum()})
    title = f"Phase diagram over {', '.join(heading(axis) for axis in material.axes)}"
    text = "Mean over networks; axes that are not chosen are averaged over. Coverage stands beside every count."
    chart = Phase(
        "phase", f"{title}: {material.description}", table.reset_index(), material.axes, measures, material.columns
    )
    meanings = {"What the measurements mean": "\n".join(glossary([name], material.columns) for name in measures)}
    return Section(title, [text, *diverged_note(material)], [chart], files=meanings)
