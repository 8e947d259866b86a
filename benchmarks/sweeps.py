"""What a sweep costs beside its fits: python -m benchmarks.sweeps (with Ray, where it is installed)."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import io
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pandas as pd
import torch
import yaml

import polysemantic
from polysemantic.data import OneHot
from polysemantic.storage.files import write_parquet
from polysemantic.sweep.command import main as sweep
from polysemantic.sweep.plan import make_plan
from polysemantic.sweep.spec import read_sweep
from polysemantic.sweep.table import collect, write_sweep

CELLS = 20
ROUNDS = 5
TENS = list(range(8, 88, 8))
BASE = {
    "ensemble": {"seeds": 2},
    "data": {"class_path": "OneHot", "init_args": {"n_features": 8}},
    "model": {"n_hidden": 8},
    "trainer": {"max_steps": 1},
}


def _write(directory: Path, axes: dict[str, list[int]]) -> Path:
    (directory / "base.yaml").write_text(yaml.safe_dump(BASE))
    (directory / "sweep.yaml").write_text(yaml.safe_dump({"base": "base.yaml", "axes": axes}))
    return directory / "sweep.yaml"


class Contender(Protocol):
    """Something that runs so many trivial fits in a directory."""

    def __call__(self, directory: Path, count: int) -> None:
        """Run them."""


def loop(directory: Path, count: int) -> None:
    """Trivial fits in a bare Python loop."""
    for seed in range(count):
        ensemble = polysemantic.Ensemble(seeds=2)
        trainer = {"default_root_dir": str(directory)}
        polysemantic.fit(OneHot(8), ensemble=ensemble, n_hidden=8, max_steps=1, seed_everything=seed, trainer=trainer)


def cells(*options: str) -> Contender:
    """The same fits as the cells of a sweep."""

    def run(directory: Path, count: int) -> None:
        config = _write(directory, {"seed_everything": list(range(count))})
        assert sweep([f"--config={config}", *options]) == 0

    return run


def dry_run(directory: Path) -> None:
    """A dry run of 1000 cells."""
    config = _write(directory, {"model.n_hidden": TENS, "data.n_features": TENS, "trainer.max_steps": TENS})
    assert sweep([f"--config={config}", "--dry_run"]) == 0


def finished_cells(directory: Path) -> Path:
    """A sweep of 1000 cells whose every one has 100 instances."""
    axes = {"model.n_hidden": TENS, "data.n_features": TENS, "trainer.max_steps": TENS}
    plan = make_plan(read_sweep(_write(directory, axes)))
    write_sweep(plan)
    fit = polysemantic.fit(
        OneHot(8),
        ensemble=polysemantic.Ensemble(seeds=100),
        n_hidden=8,
        max_steps=1,
        trainer={"default_root_dir": str(directory)},
    )
    for cell in plan.cells:
        write_parquet(plan.directory / "cells" / cell.hash / "results.parquet", fit.results)
    return plan.directory


def seconds(run: Callable[[Path], object]) -> float:
    """Time in a new working directory, what is printed going nowhere."""
    with (
        tempfile.TemporaryDirectory() as directory,
        contextlib.chdir(directory),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        began = time.perf_counter()
        run(Path(directory))
        return time.perf_counter() - began


def rates() -> pd.DataFrame:
    """Of each contender the time of two trivial cells, its start included, and the cells per second after them."""
    contenders: dict[str, Contender] = {
        "bare loop of fits": loop,
        "embedded": cells(),
        "`--workers 2`": cells("--workers=2"),
    }
    if importlib.util.find_spec("ray"):
        contenders[f"`--engine ray`, Ray {importlib.metadata.version('ray')}"] = cells("--engine=ray")
    for run in (loop, cells()):
        # What is imported once is no cost of the first to need it.
        seconds(functools.partial(run, count=1))
    rounds = [{name: _start_and_rate(run) for name, run in contenders.items()} for _ in range(ROUNDS)]
    rows = [
        {"name": name, "start": start, "rate": rate, "ratio": rate / one["bare loop of fits"][1]}
        for one in rounds
        for name, (start, rate) in one.items()
    ]
    return pd.DataFrame(rows).groupby("name", sort=False).median()


def _start_and_rate(run: Contender) -> tuple[float, float]:
    start, whole = (seconds(functools.partial(run, count=count)) for count in (2, 2 + CELLS))
    return start, CELLS / (whole - start)


def main() -> None:
    # Lightning calls torch functions that torch has deprecated since.
    warnings.filterwarnings("ignore", module="lightning|jsonargparse")
    table = rates()
    threads, cores = torch.get_num_threads(), len(os.sched_getaffinity(0))
    print(f"{cores} cores, {threads} threads, torch {torch.__version__}; medians of {ROUNDS}.\n")
    print("| trivial cells | first two | then per second | of the loop |\n| --- | ---: | ---: | ---: |")
    for name, row in table.iterrows():
        print(f"| {name} | {row['start']:.1f} s | {row['rate']:.2f} | {row['ratio']:.0%} |")
    print(f"\nDry run of 1000 cells: {statistics.median(seconds(dry_run) for _ in range(ROUNDS)):.2f} s.")
    with tempfile.TemporaryDirectory() as directory:
        with contextlib.redirect_stdout(io.StringIO()):
            sweep_directory = finished_cells(Path(directory))
        took = statistics.median(seconds(lambda _: collect(sweep_directory)) for _ in range(ROUNDS))
    print(f"\nCollecting 1000 cells of 100 instances: {took:.2f} s.")


if __name__ == "__main__":
    main()
