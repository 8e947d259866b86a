"""From which share of active features on a dense step is as fast: python -m benchmarks.sparse_batches [DEVICE]."""

from __future__ import annotations

import statistics
import sys

from benchmarks import clock
from polysemantic.data import IndependentBernoulli
from polysemantic.ensemble import Ensemble
from polysemantic.module import EnsembleModule

SHARES = (0.005, 0.02, 0.05, 0.1, 0.2)
HIDDEN = (128, 256, 512, 1024)
ROUNDS = 15


def ratio(n_hidden: int, share: float) -> float:
    """Median of dense over sparse time of a gradient at 16 instances, 256 features and batch 256, taken in turns."""
    ensemble = Ensemble(seeds=16)
    data = IndependentBernoulli(256, share)
    data.bind(ensemble, device=clock.device())
    x = data.inputs(0)
    networks = []
    for sparse in (True, False):
        network = EnsembleModule(256, n_hidden, ensemble).networks.to(clock.device())
        network.sparse_inputs = sparse
        networks.append(network)
    rounds = []
    for _ in range(ROUNDS):
        seconds = []
        for network in networks:
            began = clock.now()
            network.next_gradients()(*network.inputs(x[None]), None, with_loss=False)
            seconds.append(clock.now() - began)
        rounds.append(seconds[1] / seconds[0])
    return statistics.median(rounds)


if __name__ == "__main__":
    clock.use_device((sys.argv[1:] or ["cpu"])[0])
    print("| hidden |" + "".join(f" {share:.1%} on |" for share in SHARES))
    print("| ---: |" + " ---: |" * len(SHARES))
    for n_hidden in HIDDEN:
        print(f"| {n_hidden} |" + "".join(f" {ratio(n_hidden, share):.2f}x |" for share in SHARES))
