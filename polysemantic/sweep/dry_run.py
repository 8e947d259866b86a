from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from polysemantic.model.ensemble import number_text, short_text
from polysemantic.results.settings import short_names
from polysemantic.results.sweeps import label
from polysemantic.sweep.cost import estimate, peak_rate
from polysemantic.sweep.plan import Plan

_UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))


def cells_table(plan: Plan) -> Table:
    """The cells of a sweep, each with its axes (in brackets the values that its ensemble holds), instances and cost."""
    peak = peak_rate()
    names = short_names(plan.spec.options)
    table = Table(box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for heading in ("cell", *names.values(), "instances", "steps", "time", "memory"):
        table.add_column(heading, justify="right")
    costs = [estimate(cell, peak) for cell in plan.cells]
    for cell, cost in zip(plan.cells, costs, strict=True):
        axes = (_axis(cell.point[key], key in cell.moved) for key in names)
        steps = cell.config["trainer"]["max_steps"]
        table.add_row(cell.hash, *axes, str(cell.n_instances), str(steps), duration(cost.seconds), size(cost.bytes))
    instances = sum(cell.n_instances for cell in plan.cells)
    total, largest = duration(sum(cost.seconds for cost in costs)), size(max(cost.bytes for cost in costs))
    table.title = (
        f"{len(plan.cells)} cells, {instances} instances, about {total} one after the other, {largest} at most"
    )
    held = "\\[a, b]: held by the cell's ensemble. " if any(cell.moved for cell in plan.cells) else ""
    table.caption, table.caption_justify = (
        f"{held}Within a factor of two or so on this machine where products dominate.",
        "left",
    )
    return table


def _axis(value: object, moved: bool) -> str:
    if moved and isinstance(value, list):
        return f"\\[{', '.join(short_text(number, value) for number in value)}]"
    return number_text(value) if isinstance(value, float) else str(label(value))


def duration(seconds: float) -> str:
    """A time in its largest unit, from milliseconds to days."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds * 1e3:.3g} ms"


def size(count: float) -> str:
    """A size in gigabytes."""
    return f"{count / 1e9:.2g} GB"
