"""Answers the open questions: trains what is not finished, keeps the tables, draws the figures, writes the page."""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from findings.claims import refuted
from findings.conduct import gather, make_plans, run
from findings.page import read_tables, write_page, write_tables
from findings.questions import QUESTIONS
from polysemantic.runtime.environment import set_library_defaults
from polysemantic.storage.run_directories import RUNS
from polysemantic.sweep.dry_run import cells_table
from polysemantic.sweep.engines import Embedded, Engine
from polysemantic.sweep.workers import LocalWorkers

_LOG = Path(RUNS) / "findings.log"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m findings", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"of {', '.join(QUESTIONS)}; default: all")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry_run", action="store_true", help="list the runs and their estimated cost, and end")
    what.add_argument("--page", action="store_true", help="train nothing: rebuild figures and page from docs/findings")
    what.add_argument(
        "--quick", action="store_true", help="small versions of those that have one; hold the answers against them"
    )
    what.add_argument("--background", action="store_true", help=f"go on after this command ends; tells to {_LOG}")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: %(default)s)")
    return parser


def main() -> None:
    parser = _parser()
    options = parser.parse_args()
    if unknown := [name for name in options.questions if name not in QUESTIONS]:
        parser.error(f"`questions` must be of {', '.join(QUESTIONS)}, got {unknown[0]}.")
    if options.workers < 1:
        parser.error(f"`workers` must be at least 1, got {options.workers}.")
    # Processes then end at a checkpoint, instead of being left to notice that this one is gone.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    names = _with_sources(options.questions or list(QUESTIONS))
    if options.dry_run:
        _list(names)
    elif options.quick:
        _quick(names, options.workers)
    elif options.background:
        _in_background([*options.questions, f"--workers={options.workers}"])
    else:
        if not options.page:
            _train(names, options.workers)
        write_page(QUESTIONS, read_tables())


def _with_sources(names: Sequence[str]) -> list[str]:
    """These questions and those whose tables they read, in the order of the page."""
    read = {table for name in names for table in QUESTIONS[name].reads}
    return [name for name, question in QUESTIONS.items() if name in names or read & set(question.sweeps)]


def _list(names: Sequence[str]) -> None:
    from rich.console import Console

    console = Console()
    for name in names:
        for plan in make_plans(QUESTIONS[name]).values():
            console.print(cells_table(plan))


def _train(names: Sequence[str], n_workers: int) -> None:
    """Each question's tables are kept as soon as they are there; what they refute is told when all are."""
    lost = []
    with contextlib.closing(_engine(n_workers)) as engine:
        for name in names:
            began = time.perf_counter()
            write_tables(gather(QUESTIONS[name], run(QUESTIONS[name], engine)))
            lost += [f"{name}: {says}" for says in refuted(name, read_tables())]
            print(f"{name}: {(time.perf_counter() - began) / 60:.1f} min", flush=True)
    if lost:
        sys.exit("error: the tables do not bear out what the page says: " + "; ".join(lost))


def _quick(names: Sequence[str], n_workers: int) -> None:
    """Every answer held against small runs of its own; all are tried before any failure is told."""
    failed = []
    with tempfile.TemporaryDirectory() as directory, contextlib.closing(_engine(n_workers)) as engine:
        found: dict[str, pd.DataFrame] = {}
        for name in filter(_can_be_quick, names):
            began = time.perf_counter()
            found |= gather(QUESTIONS[name], run(QUESTIONS[name], engine, quick_in=Path(directory)))
            lost = refuted(name, found, small=True)
            failed += [name] if lost else []
            told = "; ".join(f"fails: {says}" for says in lost) or "holds"
            print(f"{name}: {told}, {time.perf_counter() - began:.0f} s", flush=True)
    if failed:
        sys.exit(f"error: small runs do not bear out {', '.join(failed)}")


def _can_be_quick(name: str) -> bool:
    return bool(QUESTIONS[name].quick) or not QUESTIONS[name].sweeps


def _engine(n_workers: int) -> Engine:
    set_library_defaults()  # the workers read the variables when they load torch
    return Embedded() if n_workers == 1 else LocalWorkers(n_workers)


def _in_background(options: Sequence[str]) -> None:
    _LOG.parent.mkdir(parents=True, exist_ok=True)
    with _LOG.open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "findings", *options],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    print(f"findings: process {process.pid}, follow it in {_LOG}; killed, the same command goes on where it was")


if __name__ == "__main__":
    main()
