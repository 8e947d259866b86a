"""From which share of active features on a dense step is as fast: python -m benchmarks.sparse_batches [DEVICE]."""

from __future__ import annotations

import statistics
import sys

from benchmarks import clock
from benchmarks.bare import Bare
from benchmarks.cases import Case
from benchmarks.measure import calibrate, seconds_per_step

SHARES = (0.005, 0.02, 0.05, 0.1, 0.2)
HIDDEN = (128, 256, 512, 1024)
ROUNDS, SECONDS = 9, 0.15


def ratio(n_hidden: int, share: float) -> float:
    """Median of dense over sparse time of a step at 16 instances, 256 features and batch 256, taken in turns."""
    case = Case(16, 256, n_hidden, 256, probability=share)
    ways = [Bare(case, case.start()) for _ in range(2)]
    for way, sparse in zip(ways, (True, False), strict=True):
        way.networks.sparse_inputs = sparse
    at_once = max(1, round(SECONDS / calibrate(ways[1])))
    rounds = [[seconds_per_step(way, at_once, SECONDS) for way in ways] for _ in range(ROUNDS)]
    return statistics.median(dense / sparse for sparse, dense in rounds)


if __name__ == "__main__":
    clock.use_device(clock.find_device((sys.argv[1:] or ["cpu"])[0]))
    print("| hidden |" + "".join(f" {share:.1%} on |" for share in SHARES))
    print("| ---: |" + " ---: |" * len(SHARES))
    for n_hidden in HIDDEN:
        print(f"| {n_hidden} |" + "".join(f" {ratio(n_hidden, share):.2f}x |" for share in SHARES), flush=True)
