"""What the tests of the command line share: a small fit, its run, and what two runs must agree on."""

import contextlib
import io
from pathlib import Path

import pandas as pd
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from polysemantic.cli.main import main
from polysemantic.results.runs import Run
from tests.support.tables import without_run

RUNS = Path("lightning_logs")
FIT = [
    "fit", "--data=OneHot", "--data.n_features=8", "--model.n_hidden=6", "--ensemble.seeds=3", "--model.inner_steps=7",
    "--trainer.max_steps=100", "--measurements.every_n_steps=25",
]  # fmt: skip
GRID = [
    "fit", "--data=IndependentBernoulli", "--data.n_features=8", "--data.probability=0.2", "--data.batch_size=64",
    "--model.n_hidden=6", "--ensemble.seeds=2", '--ensemble.vary={"l1": [0, 0.01], "probability": [0.1, 0.5]}',
    "--trainer.max_steps=20", "--measurements.every_n_steps=10",
]  # fmt: skip


def finish(directory: Path, *args: str) -> tuple[Path, str]:
    """A finished run of a command in this process, and what it printed."""
    with contextlib.chdir(directory), contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(list(args)) == 0
    return directory, out.getvalue()


def scalars(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """The steps and values of every curve of a directory."""
    events = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def assert_same_run(one: Run, other: Run) -> None:
    """The same end, the same way there, the same lives of collisions."""
    for name in ("results", "history", "collisions"):
        ours, theirs = (without_run(getattr(run, name)) for run in (one, other))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    for name, values in one.model.items():
        assert torch.equal(values, other.model[name])
