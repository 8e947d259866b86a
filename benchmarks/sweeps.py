"""What a sweep costs beside its fits: python -m benchmarks.sweeps [--ray]."""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
import yaml

import polysemantic
from polysemantic.data import OneHot
from polysemantic.files import write_parquet
from polysemantic.sweep.command import main as sweep
from polysemantic.sweep.plan import make_plan
from polysemantic.sweep.spec import read_sweep
from polysemantic.sweep.table import collect, write_sweep

CELLS = 20
ROUNDS = 3
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


def loop(directory: Path) -> None:
    """Trivial fits in a bare Python loop."""
    for seed in range(CELLS):
        ensemble = polysemantic.Ensemble(seeds=2)
        trainer = {"default_root_dir": str(directory)}
        polysemantic.fit(OneHot(8), ensemble=ensemble, n_hidden=8, max_steps=1, seed_everything=seed, trainer=trainer)


def cells(*options: str) -> Callable[[Path], None]:
    """The same fits as the cells of a sweep."""

    def run(directory: Path) -> None:
        status = sweep([f"--config={_write(directory, {'seed_everything': list(range(CELLS))})}", *options])
        assert status == 0

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


def rates(with_ray: bool) -> pd.DataFrame:
    """Trivial cells per second of each contender, in turns."""
    contenders = {"bare loop of fits": loop, "embedded": cells()}
    if with_ray:
        contenders["Ray, start of a local cluster included"] = cells("--engine=ray")
    for run in contenders.values():
        seconds(run)
    rounds = [{name: CELLS / seconds(run) for name, run in contenders.items()} for _ in range(ROUNDS)]
    return pd.DataFrame(rounds)


def main() -> None:
    # Lightning calls torch functions that torch has deprecated since.
    warnings.filterwarnings("ignore", module="lightning|jsonargparse")
    table = rates("--ray" in sys.argv[1:]).median()
    threads, cores = torch.get_num_threads(), len(os.sched_getaffinity(0))
    print(f"{cores} cores, {threads} threads; medians of {ROUNDS}.\n")
    print("| trivial cells | per second | of the loop |\n| --- | ---: | ---: |")
    for name, rate in table.items():
        print(f"| {name} | {rate:.2f} | {rate / table.iloc[0]:.0%} |")
    print(f"\nDry run of 1000 cells: {statistics.median(seconds(dry_run) for _ in range(ROUNDS)):.2f} s.")
    with tempfile.TemporaryDirectory() as directory:
        with contextlib.redirect_stdout(io.StringIO()):
            sweep_directory = finished_cells(Path(directory))
        took = statistics.median(seconds(lambda _: collect(sweep_directory)) for _ in range(ROUNDS))
    print(f"\nCollecting 1000 cells of 100 instances: {took:.2f} s.")


if __name__ == "__main__":
    main()
