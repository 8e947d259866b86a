"""What each mechanism for memory saves: `python -m benchmarks.memory_mechanisms [FITS]`.

Fits with a mechanism and without it take turns, each in a process of its own; a difference is taken within a turn.
"""

from __future__ import annotations

import statistics
import sys

from scipy import stats

from benchmarks import report
from benchmarks.cases import Case
from benchmarks.memory import in_parameters

MECHANISMS = {
    "malloc thresholds raised": (
        "from polysemantic.training import allocator; allocator._set_thresholds = lambda n_bytes: None"
    ),
    "freed memory returned before measurements": (
        "from polysemantic.training import allocator; found = allocator.libc_function; "
        "allocator.libc_function = lambda name: None if name == 'malloc_trim' else found(name)"
    ),
    "MKL_DISABLE_FAST_MM set": "import os; del os.environ['MKL_DISABLE_FAST_MM']",
}
"""For each mechanism what a process does first in order to do without it."""
CASES = [Case(16, 256, 1024), Case(16, 256, 1024, 256, probability=0.02)]


def saved(mechanism: str, case: Case, fits: int) -> list[float]:
    """How much higher the peak is without a mechanism, in sizes of the parameters, for each pair of fits."""
    without = MECHANISMS[mechanism]
    return [in_parameters("ours", case, first=without) - in_parameters("ours", case) for _ in range(fits)]


def in_words(differences: list[float]) -> str:
    """A mean with its 95 % interval."""
    half = stats.t.ppf(0.975, len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    return f"{statistics.fmean(differences):+.2f} ± {half:.2f}"


def main() -> None:
    fits = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(report.setting(f"python -m benchmarks.memory_mechanisms {fits}"), end="\n\n")
    rows = [[name, *(in_words(saved(name, case, fits)) for case in CASES)] for name in MECHANISMS]
    print(report.markdown(["mechanism", *(case.name for case in CASES)], rows))


if __name__ == "__main__":
    main()
