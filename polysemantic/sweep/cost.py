from __future__ import annotations

import dataclasses
import time

import torch

from polysemantic.sweep.plan import Cell

# Of benchmarks/README.md: products of a step run at about half of the peak rate, and beside them it passes over
# parameters and optimiser state; calls cost what a step of the tiny case takes, less where they are compiled;
# in a run's memory are 8 times the parameters, and draws of several steps.
_SHARE_OF_PEAK = 0.5
_SECONDS_PER_RUN = 0.3
_SECONDS_PER_STEP = 1.5e-4
_SECONDS_PER_PARAMETER = 2e-9
_PARAMETERS_HELD = 8
_ACTIVATIONS_HELD = 4
_BYTES = 4
# What a process with torch holds before any run.
_PROCESS = 5e8
_SIDE = 512


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run takes, roughly: within a factor of two on the machine that it is estimated on.

    Args:
        seconds: Time, alone on this machine's processors.
        bytes: Memory.
    """

    seconds: float
    bytes: float


def peak_rate() -> float:
    """Floating-point operations per second of a product of matrices on this machine, at best of a few."""
    a = torch.rand(_SIDE, _SIDE)
    best = float("inf")
    for _ in range(8):
        began = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - began)
    return 2 * _SIDE**3 / best


def estimate(cell: Cell, peak: float) -> Cost:
    """Time and memory of a run.

    Args:
        cell: The run.
        peak: Floating-point operations per second of a product of matrices.
    """
    model, steps = cell.config["model"], cell.config["trainer"]["max_steps"]
    m, n = model["n_hidden"], cell.n_features
    parameters = cell.n_instances * n * m * (1 if model["tied"] else 2)
    rows = cell.batch or n
    # The closed form multiplies twice for one-hot inputs and five times for others.
    flop = (2 if cell.batch is None else 5) * 2 * rows * cell.n_instances * n * m * (1 if model["tied"] else 1.5)
    seconds = _SECONDS_PER_STEP + flop / (_SHARE_OF_PEAK * peak) + _SECONDS_PER_PARAMETER * parameters
    activations = 0 if cell.batch is None else cell.n_instances * rows * (2 * n + m)
    held = _PARAMETERS_HELD * parameters + _ACTIVATIONS_HELD * activations
    return Cost(_SECONDS_PER_RUN + seconds * steps, _PROCESS + _BYTES * held)
