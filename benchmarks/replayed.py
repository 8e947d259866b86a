"""What replayed steps and tensor cores save on a GPU: python -m benchmarks.replayed."""

from __future__ import annotations

import statistics
from itertools import pairwise

import torch

from benchmarks import clock
from benchmarks.bare import Bare
from benchmarks.cases import CASES, Case
from benchmarks.measure import seconds_per_step
from benchmarks.report import duration, markdown
from polysemantic.engine.eager import EagerSteps
from polysemantic.engine.select import use_tensor_cores
from polysemantic.kernels.matmul import Products

MORE = [Case(1024, 16, 32), Case(1024, 64, 128, noise_std=0.1)]
# Steps in one call, and seconds of each way in a round.
_STEPS, _SECONDS, _ROUNDS = 320, 0.2, 3


def row(case: Case) -> list[str]:
    """Time of a step of a case each way, in turns; the first calls compile and record."""
    one_by_one, replayed, on_cores = (Bare(case, case.start()) for _ in range(3))
    one_by_one.steps = EagerSteps(one_by_one.networks, one_by_one.optimizer)
    one_by_one.networks.products = replayed.networks.products = Products()
    use_tensor_cores(on_cores.networks)
    ways = [one_by_one, replayed]
    if type(on_cores.networks.products) is not Products:
        ways.append(on_cores)
    rounds = [[seconds_per_step(way, _STEPS, _SECONDS) for way in ways] for _ in range(_ROUNDS + 1)]
    slow, *quicker = (statistics.median(times) for times in zip(*rounds[1:], strict=True))
    cells = [cell for before, time in pairwise([slow, *quicker]) for cell in (duration(time), f"{before / time:.2f}x")]
    return [case.name, duration(slow), *cells, *["-"] * (4 - len(cells))]


if __name__ == "__main__":
    clock.use_device(clock.find_device("cuda"))
    print(torch.cuda.get_device_name(), torch.__version__)
    header = ["case", "one by one", "replayed", "ratio", "on tensor cores", "ratio"]
    print(markdown(header, [row(case) for case in [*CASES, *MORE]]))
