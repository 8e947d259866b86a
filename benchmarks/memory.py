"""Peak memory of one contender on one case: `python -m benchmarks.memory NAME CASE`, run in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.bare import Bare
from benchmarks.cases import Case
from benchmarks.ours import fit
from benchmarks.standard import Standard
from polysemantic.callbacks import Convergence

_STATUS = Path("/proc/self/status")
_STEPS = 20
_BYTES = 4


# A process has read the environment before it is told what to do first.
_PROGRAM = "import benchmarks, runpy; {}; runpy.run_module('benchmarks.memory', run_name='__main__', alter_sys=True)"


def in_parameters(name: str, case: Case, first: str = "pass") -> float:
    """Peak memory beyond that of a process that has trained something small, in sizes of the case's parameters.

    Args:
        name: The contender.
        case: What it trains.
        first: Python statements that the process runs first.
    """
    sizes = {field.name: getattr(case, field.name) for field in dataclasses.fields(case) if field.name != "targets"}
    command = [sys.executable, "-W", "ignore", "-c", _PROGRAM.format(first), name, json.dumps(sizes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / (_BYTES * case.parameters)


def target(case: Case) -> float:
    """At most five times the parameters plus the activations of one batch, in sizes of the parameters."""
    return 5 + case.activations / case.parameters


def _memory(field: str) -> int:
    """Bytes held now (VmRSS) or at most so far (VmHWM)."""
    if _STATUS.exists():
        # Unlike ru_maxrss this begins anew with the process and not with the size of its parent.
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _train(name: str, case: Case) -> None:
    if name == "ours":
        # A run this short would end before it is first checked for convergence, which remembers weights.
        fit(case, _STEPS, every_n_steps=_STEPS, convergence=Convergence(every_n_steps=_STEPS // 2))
    else:
        kinds: dict[str, type[Standard] | type[Bare]] = {"standard": Standard, "bare": Bare}
        kind = kinds[name]
        kind(case, case.start()).run(_STEPS)


def main() -> None:
    name, case = sys.argv[1], Case(**json.loads(sys.argv[2]))
    # Large enough to be trained as the case is, so that the code that this takes is loaded, and no more.
    small = dataclasses.replace(case, instances=2, features=64, hidden=512, batch=None if case.batch is None else 64)
    _train(name, small)
    before = _memory("VmRSS")
    _train(name, case)
    print(_memory("VmHWM") - before)


if __name__ == "__main__":
    main()
