from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf.errors import OmegaConfBaseException

from polysemantic.cli.arguments import OneLineArguments
from polysemantic.cli.command_line import FLAGS, Given, read
from polysemantic.cli.error_line import print_error
from polysemantic.cli.messages import no_resolution
from polysemantic.cli.options import is_option, options
from polysemantic.sweep.overrides import overridden, refuse_mistakes_of_sweep
from polysemantic.sweep.spec import SweepSpec, read_sweep
from polysemantic.validation.suggestions import meant_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from polysemantic.sweep.engines import Engine

_WIDE = 200
_OF_FIT = """\
Options of `fit` may follow. They hold for every run, as `overrides` in the file do, and replace those.
`python -m polysemantic fit --help` lists them.

  python -m polysemantic sweep --config configs/sweeps/width.yaml --trainer.max_steps 100 --ensemble.seeds 4
"""


def _parser() -> OneLineArguments:
    parser = OneLineArguments(
        "python -m polysemantic sweep",
        usage="%(prog)s (--config FILE | --collect DIR_OR_FILE) [options] [--OPTION_OF_FIT VALUE ...]",
        allow_abbrev=False,
        description="Train a grid of runs.",
        epilog=_OF_FIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    # The user's own modules lie where the command is typed.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        options, spec = _read(args)
    except OmegaConfBaseException as error:
        return print_error(no_resolution(error))
    except (ValueError, OSError) as error:
        return print_error(str(error))
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    from polysemantic.cli.explanations import explain

    try:
        return _collect(options.collect, spec) if options.config is None else _sweep(options, spec)
    except KeyboardInterrupt:
        return 1
    except SIGTERMException:
        return 143
    except OmegaConfBaseException as error:
        return print_error(no_resolution(error))
    except (ValueError, OSError) as error:
        return print_error(explain(str(error)))


def _read(args: Sequence[str]) -> tuple[argparse.Namespace, SweepSpec | None]:
    """The options, and the sweep that they name; None if they name a directory. Nothing heavy is imported yet."""
    parser = _parser()
    given = read(args, flags=(*FLAGS, "dry_run"))
    own: list[Given] = []
    of_fit: list[Given] = []
    for option in given:
        is_own = not option.dashes or option.word.partition("=")[0] in parser.option_names
        (own if is_own or _is_meant(parser, option) else of_fit).append(option)
    options = parser.parse_args([option.word for option in own])
    _check(options)
    path = options.config or options.collect
    if options.config is None and not path.is_file():
        if of_fit:
            raise ValueError(f"`collect` must name a configuration to take options of `fit`, got {str(path)!r}.")
        return options, None
    spec = overridden(read_sweep(path), of_fit)
    refuse_mistakes_of_sweep(spec)
    return options, spec


def _is_meant(parser: OneLineArguments, option: Given) -> bool:
    """Whether an option that neither command has was meant as one of `sweep`."""
    own = {name.removeprefix("--") for name in parser.option_names}
    return not is_option(option.key) and meant_option(option.name, own | options()) in own


def _collect(path: Path, spec: SweepSpec | None) -> int:
    from polysemantic.sweep.plan import make_plan

    return _conclude(path if spec is None else make_plan(spec).directory)


def _conclude(directory: Path) -> int:
    """Rebuild a sweep's table and show it."""
    from polysemantic.results.columns import COLUMNS, read_columns
    from polysemantic.results.sweeps import RESULTS
    from polysemantic.sweep.table import axes_of, collect, summary

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


def _sweep(options: argparse.Namespace, spec: SweepSpec | None) -> int:
    from polysemantic.sweep.conduct import conduct
    from polysemantic.sweep.dry_run import cells_table
    from polysemantic.sweep.plan import make_plan

    assert spec is not None
    plan = make_plan(spec)
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
