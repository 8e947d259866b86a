import pandas as pd

from polysemantic.report.charts import Phase, Section
from polysemantic.report.groups import has
from polysemantic.report.labels import MEASURES, heading
from polysemantic.report.material import Material


def phase(material: Material) -> Section | None:
    """Any measurement over any two axes."""
    measures = [name for name in MEASURES if has(material, name)]
    if len(material.axes) < 2 or not measures:
        return None
    groups = material.results.groupby(material.axes, sort=True, dropna=False)
    table = pd.DataFrame({name: groups[name].mean() for name in measures}).assign(networks=groups.size()).reset_index()
    title = f"Phase diagram over {', '.join(heading(axis) for axis in material.axes)}"
    text = "Mean over networks; axes that are not chosen are averaged over. Coverage stands beside every count."
    return Section(title, [text], [Phase("phase", f"{title}: {material.description}", table, material.axes, measures)])
