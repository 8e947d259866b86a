from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from benchmarks import clock, memory
from benchmarks.cases import Case
from benchmarks.measure import Measured
from benchmarks.scaling import by_axis, slopes

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
# Share of a run that measurements, logs and files may take.
_MOST_BESIDE = 0.1
_PACKAGES = ("torch", "lightning", "numpy", "jax", "jaxlib", "optax")


def setting(command: str) -> str:
    """Versions, device, cores, date and command, in one sentence."""
    versions = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = f"{n_cores} cores ({torch.backends.cpu.get_cpu_capability()}), {torch.get_num_threads()} threads"
    cores += "" if clock.is_wall() else ", processor time"
    if not clock.on_cpu():
        cores = f"{torch.get_device_module(clock.device()).get_device_name()}, {cores}"
    return f"{datetime.now(UTC):%Y-%m-%d}, `{command}`, {cores}; {', '.join(versions)}."


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table, numbers to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])


def cases_table(measured: list[Measured]) -> str:
    """Steps of every case, ours against the others."""
    header = [
        "case",
        "a step of ours",
        "against standard",
        "of the bare loop",
        "of peak",
        "against JAX",
        "beside",
        "apart",
    ]
    return markdown(header, [_case_row(one) for one in measured])


def _case_row(one: Measured) -> list[str]:
    targets = one.case.targets
    beside = statistics.fmean(one.beside)
    too_much = clock.on_cpu() and beside > _MOST_BESIDE
    others = max(distance for name, distance in one.apart.items() if name != "standard")
    return [
        one.case.name,
        duration(one.seconds("ours")),
        _judged(f"{one.against('standard'):.2f}x", one.against("standard"), targets.standard, "{}x"),
        _judged(f"{one.against('bare'):.0%}", one.against("bare"), targets.bare, "{:.0%}"),
        "-" if targets.peak is None else _judged(f"{one.share_of_peak:.0%}", one.share_of_peak, targets.peak, "{:.0%}"),
        "-" if math.isnan(one.against("jax")) else _judged(f"{one.against('jax'):.2f}x", one.against("jax"), 1, "{}x"),
        f"**{beside:.1%}** (asked at most {_MOST_BESIDE:.0%})" if too_much else f"{beside:.1%}",
        f"{others:.0e}",
    ]


def _judged(text: str, value: float, target: float | None, form: str) -> str:
    # What is asked is asked of CPUs.
    if target is None or not clock.on_cpu():
        return text
    asked = form.format(target)
    return f"{text} (>= {asked})" if value >= target else f"**{text}** (asked {asked})"


def draws_table(table: pd.DataFrame) -> str:
    """Time, share of the step and rate of each kind of draw, at each shape."""
    header = ["draw"]
    for shape in table["shape"].unique():
        header += [f"{shape}: time", "share of step", "samples per second"]
    rows = []
    for draw, same in table.groupby("draw", sort=False):
        cells = [str(draw)]
        for seconds, share, rate in zip(same["seconds"], same["share"], same["samples_per_second"], strict=True):
            cells += [duration(seconds), f"{share:.0%}", f"{rate:.2g}"]
        rows.append(cells)
    return markdown(header, rows)


def memory_table(used: dict[Case, dict[str, float]]) -> str:
    """Peak memory of each contender on each case, in sizes of the parameters."""
    rows = []
    for case, by_name in used.items():
        rows.append([case.name, *(f"{size:.1f}" for size in by_name.values()), f"{memory.target(case):.1f}"])
    return markdown(["case", *next(iter(used.values()), {}), "target for ours"], rows)


def scaling_table(table: pd.DataFrame) -> str:
    """Steps per second along each axis, and how cost grows with work once the cores are busy."""
    busy, end = slopes(table), slopes(table, largest=2)
    rows = []
    for axis, same in by_axis(table):
        pairs = zip(same["size"], same["seconds_per_step"], strict=True)
        steps = [f"{size}: {1 / seconds:.3g}" for size, seconds in pairs]
        of_axis = [f"{slope.value:.2f} [{slope.low:.2f}, {slope.high:.2f}]" for slope in (busy[axis], end[axis])]
        rows.append([axis, ", ".join(steps), *of_axis])
    return markdown(["axis", "size: steps per second", "slope, cores busy", "between the two largest"], rows)


def ranks_table(table: pd.DataFrame) -> str:
    """Steps per second of one and of two ranks, medians over rounds of each and of their ratio."""
    rows = []
    for case, same in table.groupby("case", sort=False):
        speeds = [f"{1 / same[name].median():.4g}" for name in ("ranks_1", "ranks_2")]
        ratio = float((same["ranks_1"] / same["ranks_2"]).median())
        rows.append([str(case), *speeds, _judged(f"{ratio:.2f}x", ratio, float(same["target"].iloc[0]), "{}x")])
    return markdown(["case", "1 rank: steps per second", "2 ranks", "ratio"], rows)


def save(readme: Path, text: str) -> None:
    """Put the tables between the markers of the README."""
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
