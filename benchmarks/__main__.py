"""Measures how fast a training step is, beside what else one could write."""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import clock, draws, memory, ranks, report, scaling
from benchmarks.cases import CASES, Case
from benchmarks.measure import Measured, measure

HERE = Path(__file__).parent
# Parameters from which on memory is more than noise, and from which on a case takes a quick look too long.
_LARGE, _TOO_LARGE = 2**22, 2**24
_ROUNDS_OF_DRAWS = 5


@dataclasses.dataclass
class Effort:
    """How long to measure.

    Args:
        rounds: Rounds of each case: on a machine whose speed changes every few seconds, many short ones.
        seconds: Seconds of each contender in a round.
        runs: Whether whole runs of ours are timed, a minute each, instead of as many seconds.
        whole: Whether to measure start-up, memory, draws, scaling and ranks too, and to save it all.
    """

    rounds: int = 16
    seconds: float = 1.0
    runs: bool = True
    whole: bool = True


def _start_up() -> float:
    """Seconds of a fit of one step from the command line, imports and results included."""
    command = [sys.executable, "-m", "polysemantic", "fit", "--data=OneHot", "--data.n_features=256"]
    with tempfile.TemporaryDirectory() as directory:
        options = ["--model.n_hidden=256", "--trainer.max_steps=1", f"--trainer.default_root_dir={directory}"]
        began = time.perf_counter()
        subprocess.run([*command, *options], check=True, capture_output=True)
        return time.perf_counter() - began


def _raw(measured: list[Measured]) -> pd.DataFrame:
    """One row for each case, round and contender."""
    rows = [
        {"case": one.case.name, "round": at, "contender": name, "seconds_per_step": seconds}
        for one in measured
        for at, row in enumerate(one.rounds)
        for name, seconds in row.items()
    ]
    peak = [
        {"case": one.case.name, "round": at, "contender": "peak products", "seconds_per_step": one.case.flop / rate}
        for one in measured
        for at, rate in enumerate(one.peak)
    ]
    return pd.DataFrame(rows + peak)


def run(cases: list[Case], effort: Effort, output: Path | None, command: str) -> Iterator[str]:
    """Measure, and give one part of the report after the other, as Markdown.

    Args:
        cases: What to train.
        effort: How long to measure.
        output: Where to save; None saves nothing.
        command: What was typed.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    measured: list[Measured] = []
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(cases) + (5 if effort.whole else 0))
        for case in cases:
            progress.update(task, description=case.name)
            measured.append(measure(case, effort.rounds, effort.seconds, whole=effort.runs))
            progress.console.print(report.cases_table(measured[-1:]).splitlines()[-1], soft_wrap=True, markup=False)
            progress.advance(task)
        if output is not None:
            _raw(measured).to_csv(output / "results.csv", index=False)
        yield report.setting(command)
        yield report.cases_table(measured)
        if effort.whole:
            yield from _others(cases, output, progress)


def _others(cases: list[Case], output: Path | None, progress: Progress) -> Iterator[str]:
    """Start-up, memory, draws, scaling and ranks."""
    task = progress.task_ids[0]
    progress.update(task, description="start-up")
    start_up = statistics.median(_start_up() for _ in range(3))
    yield f"Start-up, a `fit` of one step from the command line: {report.duration(start_up)}."
    progress.update(task, description="memory", advance=1)
    yield (
        "Peak memory in sizes of the parameters, beyond that of a fit of 2 networks of 64 features and 512 neurons, "
        "medians of three:"
    )
    yield report.memory_table({case: _memory(case) for case in cases if case.parameters >= _LARGE})
    progress.update(task, description="draws", advance=1)
    drawn = pd.concat([draws.measure_draws(shape, _ROUNDS_OF_DRAWS) for shape in draws.SHAPES])
    yield "Draws, each beside a closed-form step on Bernoulli 0.02 inputs:"
    yield report.draws_table(drawn)
    progress.update(task, description="scaling", advance=1)
    scaled = pd.DataFrame(scaling.measure_scaling())
    base = scaling.BASE
    yield (
        f"Scaling of ours, sizes changed one at a time from {base.instances} instances, {base.features} features, "
        f"{base.hidden} hidden, batch {base.batch}:"
    )
    yield report.scaling_table(scaled) + "\n\n![Time of a step against its work](scaling.png)"
    progress.update(task, description="ranks", advance=1)
    divided = pd.DataFrame(ranks.measure_ranks())
    yield (
        "Two ranks of one thread each against one of one thread, instances divided between them: whole runs of 140 s "
        "that take turns of nine seconds, medians over these:"
    )
    yield report.ranks_table(divided)
    progress.advance(task)
    if output is not None:
        divided.to_csv(output / "ranks.csv", index=False)
        drawn.to_csv(output / "draws.csv", index=False)
        scaled.to_csv(output / "scaling.csv", index=False)
        scaling.draw_scaling(scaled, output / "scaling.png")


def _memory(case: Case) -> dict[str, float]:
    return {
        name: statistics.median(memory.in_parameters(name, case) for _ in range(3)) for name in ("ours", "standard")
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="short rounds, all but the largest case, nothing else and nothing saved"
    )
    parser.add_argument("--cases", nargs="*", default=[""], metavar="WORD", help="cases whose name holds one of these")
    parser.add_argument("--busy", action="store_true", help="one thread and processor time, on a machine with others")
    parser.add_argument(
        "--device", default="cpu", metavar="NAME", help="cpu, or cuda for the cases alone, nothing saved"
    )
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    options = parser.parse_args(arguments)
    cases = [case for case in CASES if any(word.lower() in case.name.lower() for word in options.cases)]
    if options.list or not cases:
        print("\n".join(case.name for case in CASES))
        sys.exit(0 if options.list else "`cases` must match one of these.")
    try:
        clock.use_device(clock.find_device(options.device))
    except ValueError as error:
        sys.exit(str(error))
    # Lightning calls torch functions that torch has deprecated since.
    warnings.filterwarnings("ignore", module="lightning")
    effort = Effort(whole=cases == CASES) if clock.on_cpu() else Effort(3, 0.5, runs=False, whole=False)
    if options.busy:
        clock.use_processor_time()
    if options.quick:
        effort = Effort(2, 0.25, runs=False, whole=False)
        cases = [case for case in cases if case.parameters < _TOO_LARGE or not clock.on_cpu()]
    output = HERE if effort.whole else None
    parts = []
    for part in run(cases, effort, output, " ".join(["python -m benchmarks", *arguments])):
        print(part, end="\n\n", flush=True)
        parts.append(part)
    if output is not None:
        report.save(output / "README.md", "\n\n".join(parts))


if __name__ == "__main__":
    main(sys.argv[1:])
