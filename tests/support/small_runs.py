"""Small finished runs, and a sweep of them, for what reads run directories."""

import hashlib
import itertools
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jaxtyping
import pandas as pd
import torch
import yaml

from polysemantic import Ensemble, fit
from polysemantic.callbacks import CollisionTracker, Measurements
from polysemantic.data import IndependentBernoulli, InputDataModule, OneHot


def small_grid(root: Path, n_hidden: int = 12, seeds: int = 2) -> Path:
    """A run that varies L1 and the probability."""
    ensemble = Ensemble(seeds, {"l1": [0.001, 0.01], "probability": [0.05, 0.3]})
    data = IndependentBernoulli(10, 0.1, batch_size=64)
    return _fit(root, data, ensemble=ensemble, n_hidden=n_hidden, max_steps=200, optimizer=_adam)


def small_one_hot(root: Path, n_hidden: int = 24) -> Path:
    """A run of plain SGD on one-hot inputs, where the laws of sparsification hold."""
    return _fit(
        root, OneHot(8), ensemble=Ensemble(3), n_hidden=n_hidden, max_steps=300, l1=0.02, optimizer=_gradient_descent
    )


def _adam(parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=0.01)


def _gradient_descent(parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.5)


def _fit(root: Path, data: InputDataModule, **options: Any) -> Path:
    # Shapes and types of a fit are checked by its own tests.
    jaxtyping.config.update("jaxtyping_disable", True)
    trainer = {"default_root_dir": str(root), "enable_progress_bar": False}
    try:
        measurements, collisions = Measurements(every_n_steps=20), CollisionTracker(every_n_steps=10)
        return fit(data, **options, measurements=measurements, collisions=collisions, trainer=trainer).directory
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def make_sweep(sweep: Path, runs: Sequence[Path], axes: Sequence[Mapping[str, Any]]) -> Path:
    """A sweep's directory of finished runs, one cell each; `axes` gives each cell's values by dotted key."""
    tables = []
    for run, values in zip(runs, axes, strict=True):
        name = hashlib.sha256(repr(values).encode()).hexdigest()[:12]
        shutil.copytree(run, sweep / "cells" / name)
        columns = {key.rpartition(".")[2]: value for key, value in values.items()}
        table = pd.read_parquet(run / "results.parquet")
        tables.append(table.assign(cell=name, **columns))
    pd.concat(tables, ignore_index=True).to_parquet(sweep / "results.parquet")
    keys = {key: [values[key] for values in axes] for key in axes[0]}
    base = yaml.safe_load((runs[0] / "config.yaml").read_text())
    (sweep / "sweep.yaml").write_text(yaml.safe_dump({"name": sweep.name, "base": base, "axes": keys}))
    return sweep


def repeated_sweep(sweep: Path, run: Path, n_hidden: Iterable[int], learning_rates: Iterable[float]) -> Path:
    """A sweep whose cells are copies of one run, said to be of other widths and learning rates."""
    for width, rate in itertools.product(n_hidden, learning_rates):
        cell = Path(shutil.copytree(run, sweep / "cells" / f"w{width}r{rate:g}"))
        config = yaml.safe_load((cell / "config.yaml").read_text())
        config["model"]["n_hidden"] = width
        config["model"]["optimizer"]["init_args"]["lr"] = rate
        (cell / "config.yaml").write_text(yaml.safe_dump(config))
        pd.read_parquet(cell / "results.parquet").assign(n_hidden=width).to_parquet(cell / "results.parquet")
    return sweep
