from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from polysemantic.cli.arguments import OneLineArguments

if TYPE_CHECKING:
    from rich.console import RenderableType

    from polysemantic.sweep.engines import Engine

_WIDE = 200


def _parser() -> OneLineArguments:
    parser = OneLineArguments("python -m polysemantic sweep", allow_abbrev=False, description="Train a grid of runs.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, metavar="FILE", help="what to train: base, overrides, axes, zip, exclude")
    what.add_argument("--collect", type=Path, metavar="DIR_OR_FILE", help="only rebuild the table of finished cells")
    parser.add_argument("--dry_run", action="store_true", help="list the cells and their estimated cost, and end")
    parser.add_argument("--engine", choices=("embedded", "ray"), default="embedded", help="here, or on a Ray cluster")
    parser.add_argument("--workers", type=int, metavar="N", help="local processes to share the cells, not Ray's")
    parser.add_argument("--cpus_per_cell", type=float, metavar="X", help="processors of a cell on Ray, 1 by default")
    parser.add_argument("--gpus_per_cell", type=float, metavar="X", help="accelerators of a cell on Ray, 0 by default")
    return parser


def main(args: Sequence[str]) -> int:
    """Run a sweep and give the exit status: 0, 1 if a cell failed or after Ctrl-C, 2 for bad input, 143 after SIGTERM.

    Args:
        args: The command line after `sweep`.
    """
    options = _parser().parse_args(args)
    # The user's own modules lie where the command is typed.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    from polysemantic.cli.error_line import print_error
    from polysemantic.cli.explanations import explain

    try:
        return _collect(options.collect) if options.config is None else _sweep(options)
    except KeyboardInterrupt:
        return 1
    except SIGTERMException:
        return 143
    except (ValueError, OSError) as error:
        return print_error(explain(str(error)))


def _collect(path: Path) -> int:
    from polysemantic.sweep.plan import make_plan
    from polysemantic.sweep.spec import read_sweep

    return _conclude(make_plan(read_sweep(path)).directory if path.is_file() else path)


def _conclude(directory: Path) -> int:
    """Rebuild a sweep's table and show it."""
    from polysemantic.results.columns import COLUMNS, read_columns
    from polysemantic.sweep.table import RESULTS, axes_of, collect, summary

    results = collect(directory)
    _print(summary(results, axes_of(directory), COLUMNS | read_columns(directory / RESULTS)), directory)
    return 0


def _print(table: RenderableType, directory: Path) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table)
    # soft_wrap: a path is for copying, however narrow the terminal.
    console.print(f"sweep directory: {directory}", soft_wrap=True, highlight=False)


def _sweep(options: argparse.Namespace) -> int:
    from polysemantic.sweep.conduct import conduct
    from polysemantic.sweep.dry_run import cells_table
    from polysemantic.sweep.plan import make_plan
    from polysemantic.sweep.spec import read_sweep

    _check(options)
    plan = make_plan(read_sweep(options.config))
    if options.dry_run:
        _print(cells_table(plan), plan.directory)
        return 0
    with _ended_by_sigterm(options), contextlib.closing(_engine(options)) as engine:
        failed = conduct(plan, engine)
    if failed < len(plan.cells):
        _conclude(plan.directory)
    if failed:
        sys.stderr.write(f"error: {failed} of {len(plan.cells)} cells failed; the same command tries them again\n")
    return 1 if failed else 0


def _check(options: argparse.Namespace) -> None:
    from polysemantic.validation.checks import check_at_least_one, check_not_negative, check_positive

    check_at_least_one(workers=options.workers)
    check_positive(cpus_per_cell=options.cpus_per_cell)
    check_not_negative(gpus_per_cell=options.gpus_per_cell or 0)
    other = ("workers",) if options.engine == "ray" else ("cpus_per_cell", "gpus_per_cell")
    for name in other:
        if (value := getattr(options, name)) is not None:
            raise ValueError(f"`{name}` must be unset with the engine {options.engine}, got {value}.")


def _in_this_process(options: argparse.Namespace) -> bool:
    return options.engine == "embedded" and options.workers in (None, 1)


@contextlib.contextmanager
def _ended_by_sigterm(options: argparse.Namespace) -> Iterator[None]:
    """Let SIGTERM end the runs in other processes; a run in this process handles the signal itself."""
    if _in_this_process(options):
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _engine(options: argparse.Namespace) -> Engine:
    from polysemantic.sweep.engines import Embedded

    if _in_this_process(options):
        return Embedded()
    if options.engine == "ray":
        from polysemantic.sweep.ray_engine import RayCluster

        return RayCluster(options.cpus_per_cell or 1, options.gpus_per_cell or 0)
    from polysemantic.sweep.workers import LocalWorkers

    return LocalWorkers(options.workers)
