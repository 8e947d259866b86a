"""Processes that train together, started as torchrun would start them, and what their runs must agree on."""

import functools
import multiprocessing
import os
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import polysemantic
from polysemantic import Run
from polysemantic.callbacks import CollisionTracker, Convergence, Measurements, Snapshots
from polysemantic.data import IndependentBernoulli, InputDataModule, OneHot
from polysemantic.model.ensemble import Ensemble
from polysemantic.results.runs import load_run
from tests.support.tables import without_run

SECONDS = 90
DATA: dict[str, Callable[..., InputDataModule]] = {
    "every feature once": OneHot,
    "one-hot": functools.partial(OneHot, batch_size=256),
    "bernoulli": functools.partial(IndependentBernoulli, probability=0.1, batch_size=256),
}
OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "AdamW": functools.partial(torch.optim.AdamW, lr=0.01),
    "Adam": functools.partial(torch.optim.Adam, lr=0.01),
    "SGD": functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "RMSprop": functools.partial(torch.optim.RMSprop, lr=0.01),
    "Adagrad": functools.partial(torch.optim.Adagrad, lr=0.05),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(
    rank: int, world: int, port: int, directory: Path, function: Callable[..., object], arguments: Sequence[Any]
) -> None:
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test", "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world),
        "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    # As a command finds them at a terminal: a shell has what it runs in the background ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with (directory / f"rank_{rank}.txt").open("w", buffering=1) as said:
        sys.stdout = sys.stderr = said
        try:
            function(*arguments)
        except BaseException:
            traceback.print_exc(file=said)
            said.flush()
            os._exit(1)
    # A fork of the tests has nothing of its own to tidy up.
    os._exit(0)


def start(world: int, directory: Path, function: Callable[..., object], *arguments: Any) -> Sequence[BaseProcess]:
    """Start the ranks of a world as forks of this process, which takes no time for imports."""
    fork, port = multiprocessing.get_context("fork"), free_port()
    directory.mkdir(parents=True, exist_ok=True)
    for at in range(world):  # one may be killed before it can say a word
        (directory / f"rank_{at}.txt").write_text("")
    ranks = [fork.Process(target=_run, args=(at, world, port, directory, function, arguments)) for at in range(world)]
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, RuntimeWarning):  # of forks with threads, which are idle here
            warnings.simplefilter("ignore", kind)
        for rank in ranks:
            rank.start()
    return ranks


def finish(ranks: Sequence[BaseProcess], directory: Path) -> tuple[list[int | None], list[str]]:
    """Wait for all ranks, and give the exit status and what was printed of each; none outlives its time."""
    try:
        for rank in ranks:
            rank.join(SECONDS)
    finally:
        hung = [at for at, rank in enumerate(ranks) if rank.is_alive()]
        for at in hung:
            ranks[at].kill()
            ranks[at].join()
    said = [(directory / f"rank_{at}.txt").read_text() for at in range(len(ranks))]
    assert not hung, f"ranks {hung} hung:\n" + "\n".join(said)
    return [rank.exitcode for rank in ranks], said


def launch(world: int, directory: Path, function: Callable[..., object], *arguments: Any) -> list[str]:
    """Run a function in every rank of a world, and give what each printed."""
    statuses, said = finish(start(world, directory, function, *arguments), directory)
    assert set(statuses) == {0}, "\n".join(said)
    return said


def fit(
    root: Path,
    data: str | Callable[..., InputDataModule] = "every feature once",
    optimizer: str = "AdamW",
    devices: int = 1,
    max_steps: int = 200,
    trainer: dict[str, Any] | None = None,
    **options: Any,
) -> Run:
    """A small run whose files are compared: 16 features, 8 neurons."""
    given: dict[str, Any] = {
        "n_hidden": 8, "ensemble": Ensemble(7), "optimizer": OPTIMISERS[optimizer], "l1": 0.01,
        "measurements": Measurements(100), "collisions": CollisionTracker(20), "convergence": Convergence(25),
        "snapshots": Snapshots([5, 0, 3]),
    }  # fmt: skip
    options = given | options
    make_data = DATA[data] if isinstance(data, str) else data
    trainer = {"default_root_dir": str(root), "accelerator": "cpu", "devices": devices, **(trainer or {})}
    return polysemantic.fit(make_data(16), max_steps=max_steps, trainer=trainer, **options)


def fit_on(ranks: int, root: Path, *arguments: Any, **options: Any) -> Run:
    """The same run, by so many ranks."""
    if ranks == 1:
        return fit(root, *arguments, **options)
    launch(ranks, root, functools.partial(fit, root, *arguments, **options | {"devices": ranks}))
    directories = sorted((root / "lightning_logs").iterdir())
    return load_run(directories[-1])


def assert_same_tree(one: Any, other: Any, path: str = "") -> None:
    """The same numbers, to the last bit, in the same places."""
    assert isinstance(one, dict) == isinstance(other, dict), path
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, path
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True, msg=lambda text: f"{path}: {text}")
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for name, value in one.items():
            assert_same_tree(value, other[name], f"{path}/{name}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), path
        for at, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same_tree(left, right, f"{path}/{at}")
    else:
        assert one == other or one != one, path


def assert_same_runs(one: Run, other: Run) -> None:
    """The same way, end and snapshots, to the last bit."""
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    assert_same_ends(one, other)
    assert one.weights.keys() == other.weights.keys()
    for step, arrays in one.weights.items():
        for name, values in arrays.items():
            np.testing.assert_array_equal(values, other.weights[step][name])


def assert_same_drawings(one: Run, other: Run) -> None:
    """The same pictures and histograms in TensorBoard."""
    assert drawings(one.directory) == drawings(other.directory)


def drawings(run: Path) -> dict[str, list[tuple[int, Any]]]:
    """Every picture and histogram, by tag and step."""
    events = EventAccumulator(str(run), size_guidance={"images": 0, "histograms": 0}).Reload()
    tags = events.Tags()
    drawn = {tag: [(each.step, each.encoded_image_string) for each in events.Images(tag)] for tag in tags["images"]}
    return drawn | {tag: [(at.step, at.histogram_value) for at in events.Histograms(tag)] for tag in tags["histograms"]}


def assert_same_ends(one: Run, other: Run) -> None:
    """The same results, lives of collisions and checkpoint, to the last bit."""
    for name in ("results", "collisions"):
        ours, theirs = (without_run(getattr(run, name)) for run in (one, other))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    saved = [
        torch.load(run.directory / "checkpoints" / "last.ckpt", weights_only=True, map_location="cpu")
        for run in (one, other)
    ]
    for name in ("state_dict", "optimizer_states", "lr_schedulers", "polysemantic", "global_step"):
        assert_same_tree(saved[0][name], saved[1][name], name)
    tracked = [dict(each["callbacks"]) for each in saved]
    for each in tracked:
        # Lives that ended are in another order, which the table does not have.
        for name in list(each):
            if name.startswith("CollisionTracker"):
                del each[name]["ended"]
            if name.startswith("Measurements"):
                del each[name]["history"], each[name]["steps"]
    assert_same_tree(tracked[0], tracked[1], "callbacks")
