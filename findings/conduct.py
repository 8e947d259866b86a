"""From a question to its tables: cut down if asked, run what is not finished, gather."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from findings.question import Question
from polysemantic.sweep.conduct import conduct
from polysemantic.sweep.engines import Engine
from polysemantic.sweep.plan import Plan, make_plan
from polysemantic.sweep.spec import SweepSpec, read_sweep

CONFIGS = Path(__file__).parent.parent / "configs"


def config(sweep: str) -> Path:
    """The file of a sweep: in `configs/sweeps` if it is one for users to start from, else in `configs/findings`."""
    (path,) = CONFIGS.glob(f"*/{sweep}.yaml")
    return path


def specs(question: Question) -> Iterator[SweepSpec]:
    """The sweeps of a question as their files have them."""
    return (read_sweep(config(name)) for name in question.sweeps)


def make_plans(question: Question) -> dict[str, Plan]:
    """The runs of a question, each sweep on its own."""
    return {spec.name: make_plan(spec) for spec in specs(question)}


def run(question: Question, engine: Engine, quick_in: Path | None = None) -> dict[str, Path]:
    """Run what is not finished of a question's sweeps, one after the other, and give their directories.

    Args:
        question: The question.
        engine: Where to run.
        quick_in: Where to run them cut down to seconds; None runs all of them, below `lightning_logs`.

    Raises:
        RuntimeError: If a run fails.
    """
    done: dict[str, Path] = {}
    for spec in specs(question):
        overrides = question.prepare(spec.name, done)
        if quick_in is not None:
            if (changes := question.quick.get(spec.name, {})) is None:
                continue
            overrides["trainer.default_root_dir"] = str(quick_in)
            spec = _cut(spec, changes)
        plan = make_plan(dataclasses.replace(spec, overrides=spec.overrides | overrides))
        if failed := conduct(plan, engine):
            raise RuntimeError(f"{failed} of {len(plan.cells)} runs of {spec.name} failed, see {plan.directory}")
        done[spec.name] = plan.directory
    return done


# In runs of seconds, following collisions at the default cadence would take longer than training.
_SELDOM = {"collisions.every_n_steps": 200, "measurements.every_n_steps": 400}


def _cut(spec: SweepSpec, changes: dict[str, Any]) -> SweepSpec:
    return dataclasses.replace(spec, **changes | {"overrides": spec.overrides | _SELDOM | changes.get("overrides", {})})


def gather(question: Question, done: dict[str, Path]) -> dict[str, pd.DataFrame]:
    """The tables of a question whose sweeps are finished."""
    return {
        name: table for sweep, directory in done.items() for name, table in question.gather(sweep, directory).items()
    }
