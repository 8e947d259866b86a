from typing import Any

import pandas as pd

from polysemantic.report.charts import Chart, Panel, Section, Series
from polysemantic.report.labels import label, value_text
from polysemantic.report.material import Material
from polysemantic.report.over_training import limit_note
from polysemantic.report.sources import Point
from polysemantic.results.glossary import glossary

_NETWORKS = 8
_LIVES = 60
_KINDS = {"opposite_sign": "opposite sign", "same_sign": "same sign"}
_LEFT = {"i": "feature {i} left", "j": "feature {j} left", "both": "both left"}


def lives(material: Material) -> Section | None:
    """Who shared which neuron when, in single networks."""
    found: dict[str, pd.DataFrame] = {}
    shown: list[str] = []
    shortened = 0
    for point in material.shown_points(_NETWORKS):
        rows = _of_first_network(point)
        if rows is not None:
            shortened += len(rows) > _LIVES
            found[_name(point)] = _longest(rows)
            shown.append(point.label)
    if not found:
        return None
    title = "A collision's life: who shared which neuron when"
    chart = Chart(
        "lives",
        f"{title}: {material.description}",
        [Panel(label("step"), "neuron: features", categories=True)],
        {name: _strokes(rows) for name, rows in found.items()},
        pd.concat([rows.assign(network=name) for name, rows in found.items()], ignore_index=True),
        chooser="network",
        height=760,
        words=glossary(["lives", "settled", "resolved", "coverage"]),
    )
    text = "A stroke is the life of a collision of two features on a neuron, from birth to resolution or the end."
    limits = f"Shown are the {_LIVES} longest lives of each network, to keep the page small."
    missing = limit_note(material, _NETWORKS, shown, "any collision in the first network that did not diverge")
    return Section(title, [text, *([limits] if shortened else []), *missing], [chart])


def _name(point: Point) -> str:
    results = point.source.results
    coverage = float(results.loc[results["instance"] == point.sound[0], "coverage"].iloc[0])
    seed = point.sound[0] - point.instances.start
    return f"{point.label}, seed {seed}, coverage {value_text(float(f'{coverage:.3g}'))}"


def _of_first_network(point: Point) -> pd.DataFrame | None:
    table = point.table("collisions")
    rows = None if table is None else table[table["instance"] == point.sound[0]]
    return None if rows is None or rows.empty else rows


def _longest(rows: pd.DataFrame) -> pd.DataFrame:
    end = rows["resolved_step"].fillna(rows["last_seen_step"]).astype(int)
    kept = (end - rows["born_step"]).sort_values(ascending=False, kind="stable").index[:_LIVES]
    return rows.assign(end_step=end).loc[kept].sort_values(["neuron", "feature_i", "feature_j", "born_step"])


def _strokes(rows: pd.DataFrame) -> list[Series]:
    series = []
    # Births come first, as the places of all lives in their order; without them a life seen once would not be seen.
    marks = {"born": ("born_step", 4), "settled": ("settled_step", 2), "resolved": ("resolved_step", 3)}
    for name, (column, colour) in marks.items():
        ones = rows[rows[column].notna()].to_dict("records")
        if ones:
            steps, places = [life[column] for life in ones], [_place(life) for life in ones]
            series.append(Series(name, "mark", steps, places, colour=colour, detail=[_story(life) for life in ones]))
    for colour, (kind, words) in enumerate(_KINDS.items()):
        of_kind = rows[rows["kind_at_end"] == kind].to_dict("records")
        if of_kind:
            x = [at for life in of_kind for at in (life["born_step"], life["end_step"], None)]
            y = [at for life in of_kind for at in (_place(life), _place(life), None)]
            told = [text for life in of_kind for text in (_story(life), _story(life), "")]
            series.append(Series(words, "life", x, y, colour=colour, detail=told))
    return series


def _place(life: dict[Any, Any]) -> str:
    return f"{life['neuron']}: {life['feature_i']}, {life['feature_j']}"


def _story(life: dict[Any, Any]) -> str:
    i, j = life["feature_i"], life["feature_j"]
    parts = [f"features {i} and {j} on neuron {life['neuron']}", f"born at step {life['born_step']}"]
    if pd.notna(life["settled_step"]):
        parts.append(f"settled at {life['settled_step']}")
    if pd.notna(life["resolved_step"]):
        parts.append(f"resolved at {life['resolved_step']}: {_LEFT[life['ended_by']].format(i=i, j=j)}")
    else:
        parts.append(f"alive at {life['last_seen_step']}")
    kinds = [_KINDS[life[f"kind_at_{moment}"]] for moment in ("birth", "end")]
    return ", ".join([*parts, " then ".join(dict.fromkeys(kinds)), f"cost at the end {life['cost_at_end']:.3g}"])
