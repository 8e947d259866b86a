from __future__ import annotations

import functools
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.bare import Bare
from benchmarks.cases import Case
from benchmarks.clock import now
from polysemantic import data as inputs
from polysemantic import random
from polysemantic.data import InputDataModule

SHAPES = [Case(16, 256, 1024, 256, probability=0.02), Case(16, 256, 256, 256, probability=0.02)]
_FILE_ROWS = 4096
_STEPS_AT_ONCE = 64


def _data_modules(case: Case, directory: Path) -> list[InputDataModule]:
    """One of each kind, sparse where it can be."""
    n, rows, p = case.features, case.rows, case.probability
    block = max(1, n // 16)
    np.save(directory / "features.npy", np.random.default_rng(0).random((_FILE_ROWS, n), dtype=np.float32))
    modules = [
        inputs.OneHot(n, batch_size=rows),
        inputs.IndependentBernoulli(n, p, batch_size=rows),
        inputs.PairMixture(n, 0.5, batch_size=rows),
        inputs.CooccurrenceDial(n, p, dial=0.5, group_size=block, batch_size=rows),
        inputs.KHot(n, k=max(1, n // 64), batch_size=rows),
        inputs.HalfSplit(n, batch_size=rows),
        inputs.GaussianCopula(n, p, correlation=0.5, block_size=block, batch_size=rows),
        inputs.Hierarchical(n - n % 3, 0.2, batch_size=rows),
        inputs.FeatureFile(str(directory / "features.npy"), batch_size=rows),
    ]
    for module in modules:
        module.bind(case.ensemble())
    return modules


def _steps_of(case: Case, directory: Path) -> dict[str, Callable[[range], object]]:
    """For each name what draws some steps of it."""
    calls: dict[str, Callable[[range], object]] = {}
    for data in _data_modules(case, directory):
        calls[f"inputs {type(data).__name__}"] = functools.partial(_inputs, data)
    data = case.data()
    for law in get_args(random.NoiseLaw):
        calls[f"noise {law}"] = functools.partial(_noise, data, law, case)
    return calls


def _inputs(data: InputDataModule, steps: range) -> Tensor:
    return data.sample(data.keys("data", steps))


def _noise(data: InputDataModule, law: random.NoiseLaw, case: Case, steps: range) -> Tensor:
    return random.noise(data.keys("noise", steps), law, case.rows, case.hidden)


def measure_draws(case: Case, rounds: int = 5) -> pd.DataFrame:
    """Time of one step's draws of every kind beside the time of the closed-form step itself, interleaved.

    Args:
        case: The shape; its inputs feed the step.
        rounds: Rounds; medians are given.

    Returns:
        One row for each kind, with its seconds, its share of a step that draws it, and samples (inputs, or rows of
        noise) per second.
    """
    bare = Bare(case, case.start())
    steps = min(case.steps_at_once, _STEPS_AT_ONCE)
    x, _ = case.draws(bare.data, range(steps))
    took: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        calls = _steps_of(case, Path(directory))
        calls["step"] = lambda block: bare.follow(x, None, len(block))
        for at in range(rounds + 1):
            for name, call in calls.items():
                began = now()
                call(range(at * steps, (at + 1) * steps))
                took.setdefault(name, []).append((now() - began) / steps)
    # The first round warms up.
    seconds = {name: statistics.median(values[1:]) for name, values in took.items()}
    step = seconds.pop("step")
    table = pd.DataFrame({"draw": list(seconds), "seconds": list(seconds.values())})
    table.insert(0, "shape", f"{case.instances}, {case.features}, {case.hidden}, {case.rows}")
    samples = case.instances * case.rows / table["seconds"]
    return table.assign(share=table["seconds"] / (table["seconds"] + step), samples_per_second=samples)


def main() -> None:
    torch.manual_seed(0)
    for shape in SHAPES:
        print(measure_draws(shape).to_string(index=False))


if __name__ == "__main__":
    main()
