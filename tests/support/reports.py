"""The sections and charts of a report, for tests that look at what it says."""

import functools
from pathlib import Path
from typing import Any

from polysemantic.report.charts import Chart, Section, Series
from polysemantic.report.material import Material
from polysemantic.report.reading import read_material
from polysemantic.report.sections import SECTIONS


@functools.cache
def sections(*paths: Path) -> tuple[Material, dict[str, Any], list[Section]]:
    """What was read from some directories, the charts by key, and the sections."""
    material = read_material(list(paths))
    made = [section for make in SECTIONS if (section := make(material)) is not None]
    return material, {chart.key: chart for section in made for chart in section.charts}, made


def named(chart: Chart, name: str, kind: str, panel: int = 0, view: str | None = None) -> Series:
    """The one series of a chart with this name and kind."""
    view = view or next(iter(chart.views))
    (found,) = [s for s in chart.views[view] if s.name == name and s.kind == kind and s.panel == panel]
    return found
