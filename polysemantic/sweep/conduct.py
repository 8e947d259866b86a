from __future__ import annotations

import time
from pathlib import Path

from polysemantic.results.sweeps import CELLS
from polysemantic.sweep.cost import estimate, peak_rate
from polysemantic.sweep.engines import Engine, Task, run_all
from polysemantic.sweep.plan import Plan
from polysemantic.sweep.run import is_finished
from polysemantic.sweep.table import write_sweep
from polysemantic.sweep.view import View

# Seconds before asking again for cells that another process is at.
_PATIENCE = 1.0


def conduct(plan: Plan, engine: Engine) -> int:
    """Run every cell of a sweep that is not finished, and return how many failed.

    Args:
        plan: The sweep.
        engine: Where to run.
    """
    write_sweep(plan)
    directories = {cell.hash: plan.directory / CELLS / cell.hash for cell in plan.cells}
    cells = {cell.hash: cell for cell in plan.cells if not is_finished(directories[cell.hash])}
    peak = peak_rate()
    costs = {name: estimate(cell, peak).seconds for name, cell in cells.items()}
    # The longest first, so that workers end at about the same time.
    order = sorted(cells, key=costs.__getitem__, reverse=True)
    tasks = [Task(directories[name], cells[name].config, Path.cwd()) for name in order]
    failed = 0
    with View(costs, done=len(plan.cells) - len(cells)) as view:
        for task, outcome in run_all(engine, tasks, wait=lambda: time.sleep(_PATIENCE)):
            cell = cells[task.directory.name]
            if outcome is None:
                view.began(cell)
            else:
                view.ended(cell, outcome)
                failed += outcome.state == "failed"
    return failed
