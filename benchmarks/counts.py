"""Whether kernels of our own change what networks become: python -m benchmarks.counts [SIZE...].

Sizes are numbers of neurons, for 256 features, or features and neurons as in 64x128.
"""

from __future__ import annotations

import sys
import tempfile
from typing import get_args

import numpy as np
from scipy import stats

from polysemantic import Ensemble, fit
from polysemantic.data import OneHot
from polysemantic.engine.select import KernelsName

SEEDS, STEPS = 64, 7500
_COLUMNS = ("polysemantic_neurons", "collisions_opposite_sign", "collisions_same_sign", "coverage")


def counted(n_features: int, n_hidden: int, kernels: KernelsName) -> dict[str, np.ndarray]:
    """Final counts of the headline figure's networks, one of each seed."""
    with tempfile.TemporaryDirectory() as root:
        options = {"default_root_dir": root, "enable_progress_bar": False}
        run = fit(
            OneHot(n_features),
            n_hidden=n_hidden,
            max_steps=STEPS,
            ensemble=Ensemble(SEEDS),
            kernels=kernels,
            trainer=options,
        )
        return {name: run.results[name].to_numpy(float) for name in _COLUMNS}


def agreement(size: str) -> list[str]:
    """Lines of a table: means of both kinds, their paired difference with its 95 % interval, and two-sample tests."""
    n_hidden, n_features = (*map(int, reversed(size.split("x"))), 256)[:2]
    own, library = (counted(n_features, n_hidden, kernels) for kernels in get_args(KernelsName))
    lines = []
    for name in _COLUMNS:
        one, other = own[name], library[name]
        difference = one - other
        margin = stats.t.ppf(0.975, SEEDS - 1) * difference.std(ddof=1) / SEEDS**0.5
        p = stats.permutation_test(
            (one, other), lambda x, y: x.mean() - y.mean(), n_resamples=9999, rng=np.random.default_rng(0)
        ).pvalue
        lines.append(
            f"| {size} | {name} | {one.mean():.4g} | {other.mean():.4g} | {difference.mean():.3g} ± {margin:.2g} |"
            f" {(difference == 0).mean():.0%} | {p:.2f} |"
        )
    return lines


if __name__ == "__main__":
    print("| size | count | kernels auto | kernels torch | difference | the same in | p of a permutation test |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for size in sys.argv[1:] or ["256", "1024"]:
        print("\n".join(agreement(size)), flush=True)
