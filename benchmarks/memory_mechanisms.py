"""What each mechanism for memory saves: `python -m benchmarks.memory_mechanisms [TURNS]`.

Fits with all mechanisms and without each take turns, in processes of their own; differences are taken within a turn.
"""

from __future__ import annotations

import statistics
import sys

from scipy import stats

from benchmarks import report
from benchmarks.cases import Case
from benchmarks.memory import in_parameters

MECHANISMS = {
    "freed memory returned before measurements": (
        "from polysemantic.training import allocator; found = allocator.libc_function; "
        "allocator.libc_function = lambda name: None if name == 'malloc_trim' else found(name)"
    ),
    "cache blocks of instances, against a thread's share at once": (
        "from polysemantic.engine import select; "
        "select.cache_block = lambda problem: -(-problem.n_instances // problem.threads)"
    ),
    "MKL_DISABLE_FAST_MM set": "import os; del os.environ['MKL_DISABLE_FAST_MM']",
}
"""For each mechanism what a process does first in order to do without it."""
CASES = [Case(16, 256, 1024), Case(16, 256, 1024, 256, probability=0.02)]


def saved(case: Case, turns: int) -> dict[str, list[float]]:
    """How much higher the peak is without each mechanism, in sizes of the parameters, for each turn."""
    higher: dict[str, list[float]] = {name: [] for name in MECHANISMS}
    for _ in range(turns):
        with_all = in_parameters("ours", case)
        for name, without in MECHANISMS.items():
            higher[name].append(in_parameters("ours", case, first=without) - with_all)
            print(f"{case.name}: {name}: {higher[name][-1]:+.2f}", file=sys.stderr, flush=True)
    return higher


def in_words(differences: list[float]) -> str:
    """A mean with its 95 % interval."""
    half = stats.t.ppf(0.975, len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    return f"{statistics.fmean(differences):+.2f} ± {half:.2f}"


def main() -> None:
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(report.setting(f"python -m benchmarks.memory_mechanisms {turns}"), end="\n\n")
    columns = [saved(case, turns) for case in CASES]
    rows = [[name, *(in_words(column[name]) for column in columns)] for name in MECHANISMS]
    print(report.markdown(["mechanism", *(case.name for case in CASES)], rows))


if __name__ == "__main__":
    main()
