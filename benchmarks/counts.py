"""Whether products compiled for a processor change what networks become: python -m benchmarks.counts [SIZE...].

Sizes are numbers of neurons, for 256 features, or features and neurons as in 64x128.
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np
import torch
from scipy import stats

from polysemantic import Ensemble, fit
from polysemantic.data import OneHot

SEEDS, STEPS = 64, 7500
_COLUMNS = ("polysemantic_neurons", "collisions_opposite_sign", "collisions_same_sign", "coverage")


def counted(n_features: int, n_hidden: int, *, compiled: bool) -> dict[str, np.ndarray]:
    """Final counts of the headline figure's networks, one of each seed."""
    # On a GPU its tensor cores must be asked for.
    asked = True if torch.accelerator.is_available() else "auto"
    with tempfile.TemporaryDirectory() as root:
        options = {"default_root_dir": root, "enable_progress_bar": False}
        run = fit(
            OneHot(n_features),
            n_hidden=n_hidden,
            max_steps=STEPS,
            ensemble=Ensemble(SEEDS),
            compile=asked if compiled else False,
            trainer=options,
        )
        return {name: run.results[name].to_numpy(float) for name in _COLUMNS}


def agreement(size: str) -> list[str]:
    """Lines of a table: means of both kinds, their paired difference with its 95 % interval, and two-sample tests."""
    n_hidden, n_features = (*map(int, reversed(size.split("x"))), 256)[:2]
    compiled, whole = (counted(n_features, n_hidden, compiled=kind) for kind in (True, False))
    lines = []
    for name in _COLUMNS:
        one, other = compiled[name], whole[name]
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
    print("| size | count | compiled | not compiled | difference | the same in | p of a permutation test |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for size in sys.argv[1:] or ["256", "1024"]:
        print("\n".join(agreement(size)), flush=True)
