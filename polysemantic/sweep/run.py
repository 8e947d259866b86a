from __future__ import annotations

import contextlib
import sys
import traceback
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

from polysemantic.results.sweeps import parse_yaml
from polysemantic.storage.checkpoints import read_checkpoint
from polysemantic.storage.files import write_whole
from polysemantic.storage.locks import occupy
from polysemantic.storage.seal import CorruptFileError
from polysemantic.sweep.reader import CellCLI, Config, config_hash

STATE = "cell.yaml"
_LOCK = ".cell.lock"
_OUTPUT = "output.txt"
# The exit status of the command line's parser after it has printed an error on one line.
_BAD_INPUT = 2


class Outcome(NamedTuple):
    """The end of a call of `run_cell`; busy means that another process is at the run.

    Args:
        state: Whether the run is finished, failed or busy.
        error: Why it failed, on one line.
    """

    state: Literal["finished", "failed", "busy"]
    error: str | None = None


def run_cell(directory: Path, config: Config, home: Path) -> Outcome:
    """Finish a run in its own directory: do nothing if it is finished, else go on from its checkpoint, or begin.

    Any number of processes may call this at once with the same arguments, be killed, and call it again.

    Args:
        directory: The run directory, named by the configuration's hash.
        config: The resolved configuration.
        home: The directory that relative paths and the user's modules are in.
    """
    with contextlib.chdir(home):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            # A lock besides that of `fit`, which takes its own in this process.
            lock = occupy(directory, name=_LOCK)
        except ValueError:
            return Outcome("busy")
        with lock:
            if is_finished(directory):
                return Outcome("finished")
            note(directory, "running")
            error = _fit(directory, config)
            note(directory, "finished" if error is None else "failed", error)
            return Outcome("finished") if error is None else Outcome("failed", error)


def is_finished(directory: Path) -> bool:
    """Whether a directory holds results of the configuration that names it."""
    if not (directory / "results.parquet").is_file():
        return False
    return config_hash(parse_yaml((directory / "config.yaml").read_text())) == directory.name


def note(directory: Path, state: str, error: str | None = None) -> None:
    """Write down for people, and for `sweep`, what state a run is in."""
    content = {"state": state} | ({} if error is None else {"error": error})
    write_whole(directory / STATE, yaml.safe_dump(content, width=10**6).encode())


def _fit(directory: Path, config: Config) -> str | None:
    """Train, and return the error that ended the run, on one line; None if none did."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    with (directory / _OUTPUT).open("a") as output:
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                if (directory / "results.parquet").is_file():
                    raise ValueError(f"`{directory}` must hold the run of its name, got another configuration's.")
                checkpoint = _checkpoint(directory, config["trainer"]["max_steps"])
                CellCLI({"subcommand": "fit", "fit": config | {"ckpt_path": checkpoint}}, directory)
        except Exception as error:
            traceback.print_exc(file=output)
            return " ".join(f"{type(error).__name__}: {error}".split())
        except SystemExit as ended:
            if ended.code != _BAD_INPUT:
                raise
            output.flush()
            return (directory / _OUTPUT).read_text().rstrip().splitlines()[-1].removeprefix("error: ")
    return None


def _checkpoint(directory: Path, max_steps: int) -> str | None:
    """The newest whole checkpoint to train on from; without one, None, and the run's TensorBoard events are removed.

    The checkpoint of the last step does not count: without training, nothing would observe the collisions that the
    results count.
    """
    for name in ("last.ckpt", "previous.ckpt"):
        with contextlib.suppress(FileNotFoundError, CorruptFileError):
            if read_checkpoint(directory / "checkpoints" / name)["global_step"] < max_steps:
                return str(directory / "checkpoints" / name)
    for events in directory.rglob("events.out.tfevents.*"):
        events.unlink()
    return None
