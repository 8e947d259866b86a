"""What replaying steps from graphs saves on a GPU: python -m benchmarks.replayed."""

from __future__ import annotations

import statistics

import torch

from benchmarks import clock
from benchmarks.bare import Bare
from benchmarks.cases import CASES, Case
from benchmarks.measure import seconds_per_step
from benchmarks.report import duration, markdown
from polysemantic.steps import EagerSteps

MORE = [Case(1024, 16, 32), Case(1024, 64, 128, noise_std=0.1)]
# Steps in one call, and seconds of each way in a round.
_STEPS, _SECONDS, _ROUNDS = 320, 0.2, 3


def row(case: Case) -> list[str]:
    """Time of a step of a case one by one and replayed, in turns; the first calls compile and record."""
    one_by_one, replayed = Bare(case, case.start()), Bare(case, case.start())
    one_by_one.steps = EagerSteps(one_by_one.networks, one_by_one.optimizer)
    ways = one_by_one, replayed
    rounds = [[seconds_per_step(way, _STEPS, _SECONDS) for way in ways] for _ in range(_ROUNDS + 1)]
    slow, quick = (statistics.median(times) for times in zip(*rounds[1:], strict=True))
    return [case.name, duration(slow), duration(quick), f"{slow / quick:.2f}x"]


if __name__ == "__main__":
    clock.use_device("cuda")
    print(torch.cuda.get_device_name(), torch.__version__)
    print(markdown(["case", "one by one", "replayed", "ratio"], [row(case) for case in [*CASES, *MORE]]))
