import numpy as np
import pandas as pd

from polysemantic.functional import kaplan_meier
from polysemantic.model.ensemble import Ensemble
from polysemantic.report.charts import Chart, Panel, Section, Series, TextTable
from polysemantic.report.groups import SHARE, diverged_note
from polysemantic.report.labels import label, value_text
from polysemantic.report.material import Material
from polysemantic.report.over_training import POINTS, limit_note
from polysemantic.report.sources import Point
from polysemantic.results.glossary import glossary
from polysemantic.results.lifetimes import Since, durations, in_words, lifetimes

_TIMES = 150
_KINDS: dict[str | None, str] = {None: "", "opposite_sign": "opposite sign at birth", "same_sign": "same sign at birth"}
_SINCE: dict[Since, str] = {"birth": "all", "settlement": "settled"}
_WORDS = glossary(["lives", "settled", "alive", "resolved", "coverage"])


def survival(material: Material) -> Section | None:
    """How long collisions last, by kind."""
    points = {point: rows for point in material.shown_points(POINTS) if (rows := point.table("collisions")) is not None}
    if not points:
        return None
    views = {point.label: _curves(rows, f"coverage {value_text(point.coverage)}") for point, rows in points.items()}
    title = "Survival of collisions by kind"
    chart = Chart(
        "survival",
        f"{title}: {material.description}",
        [Panel(label("life"), label("survival"), limits=SHARE)],
        views,
        _table(views),
        words=_WORDS,
    )
    text = (
        "Kaplan-Meier: the share that outlives each number of steps, counted from birth, or for settled collisions "
        "from settlement. What is alive at the end of a run counts for as long as it was seen."
    )
    return Section(
        title,
        [
            text,
            *diverged_note(material),
            *limit_note(material, found=views, lacking="any collision of a network that did not diverge"),
        ],
        [chart],
        [_counts(points)],
    )


def _curves(rows: pd.DataFrame, coverage: str) -> list[Series]:
    series: list[Series] = []
    for since, name in _SINCE.items():
        for kind, words in _KINDS.items():
            lives = rows if kind is None else rows[rows["kind_at_birth"] == kind]
            duration, resolved, _ = durations(lives, since)
            if len(duration):
                shown = f"{name}{', ' if words else ''}{words}"
                series.append(_curve(shown, duration, resolved, len(series), coverage))
    return series


def _curve(name: str, duration: np.ndarray, resolved: np.ndarray, colour: int, coverage: str) -> Series:
    curve = kaplan_meier(duration, resolved)
    times, alive = np.append(0, curve.times), np.append(1, curve.survival)
    kept = np.unique(np.linspace(0, len(times) - 1, min(_TIMES, len(times))).round().astype(int))
    told = [f"{len(duration)} lives, {int((~resolved).sum())} alive when last seen, {coverage}"] * len(kept)
    x, y = times[kept].tolist(), alive[kept].tolist()
    return Series(name, "line", x, y, colour=colour, dash=colour, detail=told)


def _table(views: dict[str, list[Series]]) -> pd.DataFrame:
    tables = [
        pd.DataFrame({"networks_of": view, "kind": s.name, "life": s.x, "survival": s.y})
        for view, series in views.items()
        for s in series
    ]
    return pd.concat(tables, ignore_index=True)


def _counts(points: dict[Point, pd.DataFrame]) -> TextTable:
    """Final counts and median lives, without which survival at a step would mislead."""
    rows = []
    for point, lives in points.items():
        own = lives.assign(instance=np.searchsorted(point.sound, lives["instance"]))
        covered = value_text(point.coverage)
        rows += [[point.label, covered, *in_words(life)] for life in lifetimes(own, Ensemble(seeds=len(point.sound)))]
    columns = [
        "networks",
        "coverage",
        "lives",
        "number",
        "alive at the end",
        "median life (steps)",
        "resolved per 1000 steps of life",
    ]
    return TextTable("Lives with 95 % intervals over networks", columns, rows, _WORDS)
