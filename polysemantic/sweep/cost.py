from __future__ import annotations

import dataclasses
import time

import torch

from polysemantic.sweep.plan import Cell

# Measured in benchmarks/README.md. The products of a step run at about half of the peak rate. Besides them, a step
# passes over the parameters and the state of the optimiser.
_SHARE_OF_PEAK = 0.5
_SECONDS_PER_PARAMETER = 2e-9
# The calls of a step of the smallest case, and the start of a run.
_SECONDS_PER_STEP = 1.5e-4
_SECONDS_PER_RUN = 0.3
# Memory of a run as multiples of its parameters and of the activations of a step, of which it holds several draws.
_PARAMETERS_HELD = 8
_ACTIVATIONS_HELD = 4
_BYTES = 4
# Memory of a process with torch before any run.
_PROCESS = 5e8
_SIDE = 512


@dataclasses.dataclass(frozen=True)
class Cost:
    """Time and memory of a run, roughly.

    The time is within a factor of two, on the machine that estimates it, for the cases of benchmarks/README.md with
    64 x 128 weights or more, whose products take most of a step. Steps of smaller networks are bound by calls, for
    which the estimate is that of one call after the other: 150 µs a step. Engines that take many steps with one call
    need a tenth of it in long runs.

    Args:
        seconds: Time of the run, alone on this machine's processors.
        bytes: Memory of its process.
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
