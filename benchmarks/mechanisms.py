"""What each mechanism for speed gains: the time of a step without it over the time with it.

`python -m benchmarks.mechanisms [--device cuda] [--quick] [--busy] [--only WORD...]`
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from benchmarks import beside, clock, report, ways
from benchmarks.cases import CASES, Case
from benchmarks.ways import TOO_LARGE, Effort, Pair

SMALL = [Case(64, 16, 32), Case(64, 16, 32, 64, probability=0.1)]
"""Networks whose step is bound by the cost of calls."""
SHARES = [Case(16, 256, n, 256, probability=p) for n in (256, 512, 1024) for p in (0.005, 0.05, 0.1, 0.2)]
"""Where the choice between sparse and dense inputs changes."""


@dataclasses.dataclass(frozen=True)
class Mechanism:
    """Something that should make steps quicker.

    Args:
        name: What it is.
        pair: Makes both ways for a case; None where the case cannot use it.
        stays: Why it stays.
        more: Cases that it is for, beside `CASES`.
        in_threads: Whether it is for several threads, so that one thread does not show what it gains.
        of_fits: Whether whole fits are measured.
    """

    name: str
    pair: Callable[[Case, Effort, ExitStack], Pair | None]
    stays: str
    more: Sequence[Case] = ()
    in_threads: bool = False
    of_fits: bool = False


MECHANISMS = [
    Mechanism(
        "threaded engine, against eager",
        functools.partial(ways.engine, "threaded"),
        "The large networks that it is chosen for gain, here with the symmetric kernel; with the amx and avx512 "
        "kernels 1.6 to 2.7x (Tried).",
        in_threads=True,
    ),
    Mechanism(
        "compiled engine, against eager",
        functools.partial(ways.engine, "compiled"),
        "Only the smallest networks gain much, in runs that win back the time of compiling. It stays until small "
        "networks have an engine of their own.",
        SMALL,
    ),
    Mechanism(
        "cuda_graph engine, against eager",
        functools.partial(ways.engine, "cuda_graph"),
        "It needs a GPU: 1.0 to 8.4x on an H200 (On a GPU).",
        SMALL,
    ),
    Mechanism(
        "symmetric kernel, against torch",
        functools.partial(ways.kernel, "symmetric"),
        "The widest network gains 1.2x where there is no AVX-512. It stays because to delete it would change the last "
        "bits of results there.",
    ),
    Mechanism(
        "avx512 kernel, against torch",
        functools.partial(ways.kernel, "avx512"),
        "It needs AVX-512: 1.9 to 2.3x on an EPYC (In wide registers).",
    ),
    Mechanism(
        "amx kernel, against torch",
        functools.partial(ways.kernel, "amx"),
        "It needs AMX: 1.4 to 1.6x on a Xeon (On matrix units).",
    ),
    Mechanism(
        "tensor cores, against torch",
        functools.partial(ways.kernel, "tensor_cores"),
        "They need a GPU: 1.25 to 1.6x on an H200 (On a GPU).",
        SMALL,
    ),
    Mechanism(
        "sparse inputs, against dense",
        ways.sparse_inputs,
        "They are chosen from 512 neurons on, up to 10 % of the features on.",
        SHARES,
    ),
    Mechanism(
        "splitmix64 kernel, against torch's operations",
        functools.partial(beside.splitmix64, alone=False),
        "A step gains less than 1.2x. It stays for the draws themselves (next row), which weigh more the quicker steps "
        "are.",
        SMALL,
    ),
    Mechanism(
        "splitmix64 kernel, draws alone",
        functools.partial(beside.splitmix64, alone=True),
        "Draws take half to two thirds of the time on every case that has any.",
        SMALL,
    ),
    Mechanism(
        "cache blocks of instances, against a thread's share at once",
        ways.cache_block,
        "It saves no time where the library multiplies. It stays for memory: gradients are those of few instances at a "
        "time (Memory).",
        in_threads=True,
    ),
    Mechanism(
        "places of non-zero inputs of eight steps together, against of each",
        beside.sparse_places,
        "Sparse inputs are chosen for all of these cases, and threads take the steps of one instance at a time.",
        SHARES,
    ),
    Mechanism(
        "fused optimiser, against torch's default",
        ways.fused_update,
        "Most cases gain, large ones most.",
        SMALL,
    ),
    Mechanism(
        "intermediates shared by metrics (time of a measurement)",
        beside.shared_intermediates,
        "Every case gains.",
        SMALL,
    ),
    Mechanism(
        "fused update called directly, against `optimizer.step`",
        ways.direct_update,
        "Every small network with one-hot inputs gains.",
        SMALL,
    ),
    Mechanism(
        "gradient by overlap, against by hidden activations",
        ways.overlap,
        "Every case with one-hot inputs and no noise gains. Shapes alone decide, so the case with noise loses 8 %.",
        SMALL,
    ),
    Mechanism(
        "memory kept between steps, against fresh memory",
        ways.workspace,
        "The smallest network gains 1.5x and none loses. It stays until small networks have an engine of their own.",
        SMALL,
    ),
    Mechanism(
        "OpenMP spin-wait of 0.2 ms, against 3 ms",
        functools.partial(beside.of_fits, without="GOMP_SPINCOUNT"),
        "It gains nothing on a quiet machine. It stays for machines with other work, where threads that wait take the "
        "cores: 1.2 to 5.0x at a load of 4 to 7.",
        in_threads=True,
        of_fits=True,
    ),
    Mechanism(
        "MKL_DISABLE_FAST_MM set, against unset",
        functools.partial(beside.of_fits, without="MKL_DISABLE_FAST_MM"),
        "It saves no time. It stays for memory: without it the peak is up to 0.4 sizes of the parameters higher.",
        of_fits=True,
    ),
    Mechanism(
        "observing between steps, against at returns to the trainer",
        functools.partial(beside.of_fits, in_passing=False),
        "It gains less than 1.1x. It stays because what Lightning and callbacks of a user's own do at each return must "
        "not depend on how often collisions are looked at.",
        SMALL,
        of_fits=True,
    ),
    Mechanism(
        "chunks of steps, against inner_steps=1",
        functools.partial(beside.of_fits, inner_steps=1),
        "A return to the trainer takes as long as many steps of a small network.",
        SMALL,
        of_fits=True,
    ),
]


def gain(pair: Pair, rounds: int) -> list[float]:
    """Time without a mechanism over time with it, for each round after one to warm up; who goes first alternates."""
    ratios = []
    for at in range(rounds + 1):
        took: dict[bool, float] = {}
        for with_it in (True, False) if at % 2 else (False, True):
            took[with_it] = pair[not with_it]()
        ratios.append(took[False] / took[True])
    return ratios[1:]


def measure(mechanism: Mechanism, cases: Sequence[Case], effort: Effort) -> Iterator[tuple[Case, float]]:
    """The median gain on each case that can use a mechanism."""
    if mechanism.in_threads and not clock.is_wall():
        return
    rounds = effort.rounds_of_fits if mechanism.of_fits else effort.rounds
    for case in cases:
        with ExitStack() as stack:
            pair = mechanism.pair(case, effort, stack)
            if pair is not None:
                ratios = gain(pair, rounds)
                low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
                print(
                    f"{mechanism.name}: {case.name}: {middle:.2f} [{low:.2f}, {high:.2f}]", file=sys.stderr, flush=True
                )
                yield case, middle


def row(mechanism: Mechanism, cases: Sequence[Case], effort: Effort, more: Sequence[Case]) -> list[str]:
    """A row of the table, with a column for each case and one for all of some more."""
    gains = {case: f"{ratio:.2f}x" for case, ratio in measure(mechanism, [*cases, *more], effort)}
    others = ", ".join(f"{case.name}: {gains[case]}" for case in more if case in gains)
    return [mechanism.name, *(gains.get(case, "-") for case in cases), others or "-", mechanism.stays]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mechanisms", description=__doc__)
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, or cuda")
    parser.add_argument("--quick", action="store_true", help="short rounds, all but the largest case, no whole fits")
    parser.add_argument("--busy", action="store_true", help="one thread and processor time, on a machine with others")
    parser.add_argument("--only", nargs="*", default=[""], metavar="WORD", help="mechanisms whose name holds one")
    options = parser.parse_args(arguments)
    clock.use_device(clock.find_device(options.device))
    if options.busy:
        clock.use_processor_time()
    # Lightning calls torch functions that torch has deprecated since.
    warnings.filterwarnings("ignore", module="lightning")
    effort = Effort(4, 0.1, 0) if options.quick else Effort(rounds_of_fits=6 if clock.on_cpu() else 0)
    cases = [case for case in CASES if case.parameters < TOO_LARGE or not options.quick]
    chosen = [one for one in MECHANISMS if any(word in one.name for word in options.only)]
    print(report.setting(" ".join(["python -m benchmarks.mechanisms", *arguments])), end="\n\n")
    header = ["mechanism", *(case.name for case in cases), "other cases", "why it stays"]
    print(report.markdown(header, [row(mechanism, cases, effort, mechanism.more) for mechanism in chosen]))


if __name__ == "__main__":
    main(sys.argv[1:])
