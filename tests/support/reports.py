"""The sections and charts of a report, for tests that look at what it says."""

import functools

from polysemantic.report.reading import read_material
from polysemantic.report.sections import SECTIONS


@functools.cache
def sections(*paths):
    material = read_material(list(paths))
    made = [section for make in SECTIONS if (section := make(material)) is not None]
    return material, {chart.key: chart for section in made for chart in section.charts}, made


def named(chart, name, kind, panel=0, view=None):
    view = view or next(iter(chart.views))
    (found,) = [s for s in chart.views[view] if s.name == name and s.kind == kind and s.panel == panel]
    return found
