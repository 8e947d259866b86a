"""Steps per second of two ranks against one."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.cases import Case
from benchmarks.turns import Job, fit_in_turns
from polysemantic.training.cadence import rounded_interval

CASES = {Case(16, 256, 1024): 1.8, Case(64, 16, 32): 1.3}
"""What is trained, and how many times as fast two ranks must be."""

_FIRST_LOOK = 200
# Measurements of a turn, which makes it nine seconds: in turns of three, after each of which a process rested, small
# networks were slower.
_OF_A_TURN = 4
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def measure_ranks(
    rounds: int = 16, seconds: float = 140.0, cases: dict[Case, float] | None = None
) -> Iterator[dict[str, float | str]]:
    """Seconds of a step by one and by two ranks of one thread each, in turns; a row for each round but the first.

    Both are whole runs with everything on, which take turns of a few measurements each.

    Args:
        rounds: Rounds of each case; the first, in which whatever is compiled is, does not count.
        seconds: Seconds of a run by one rank, about, beyond its start-up.
        cases: What to train, and the speed-up asked of it.
    """
    for case, target in (cases or CASES).items():
        steps = _FIRST_LOOK
        for _ in range(2):  # once more, as many measurements in few steps make them seem slow
            with fit_in_turns(_job(case, steps, 2, ranks=1), _ONE_THREAD) as alone:
                alone()
                steps = _OF_A_TURN * rounded_interval(max(1, round(seconds / alone() / rounds / _OF_A_TURN)))
        one, two = (_job(case, steps, rounds, ranks) for ranks in (1, 2))
        with fit_in_turns(one, _ONE_THREAD) as alone, fit_in_turns(two, _ONE_THREAD) as together:
            for at in range(rounds):
                took = {"ranks_1": alone(), "ranks_2": together()}
                if at:
                    yield {"case": case.name, "target": target, "round": at, **took}


def _job(case: Case, steps: int, rounds: int, ranks: int) -> Job:
    return Job(case, steps, rounds, measure_every=steps // _OF_A_TURN, ranks=ranks)
