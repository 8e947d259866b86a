"""The run and checkpoint that a later run continues."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from polysemantic.storage.checkpoints import check_checkpoint, checkpoint_of
from polysemantic.storage.locks import check_free
from polysemantic.storage.run_directories import RUNS, run_number
from polysemantic.storage.seal import CorruptFileError

# Options of the Trainer that say where a run lies, and what it shows while it trains.
_NO_RESULT = {"default_root_dir", "enable_progress_bar", "enable_model_summary", "log_every_n_steps", "profiler"}
# Options of the model that say by which code the same run is computed; `compile` is one of earlier versions.
_HOW_COMPUTED = {"engine", "kernels", "compile"}


@dataclasses.dataclass(frozen=True)
class Continued:
    """The run that a run continues, and the checkpoint that it starts from.

    Args:
        directory: The run directory.
        checkpoint: The checkpoint in it, which is whole.
    """

    directory: Path
    checkpoint: Path


def continued_run(ckpt_path: str, root: Path, config: str, *, training: bool = True) -> Continued:
    """The run that `ckpt_path` continues: the run of a checkpoint, or the newest with this configuration.

    Args:
        ckpt_path: A checkpoint, or `last`.
        root: The directory that holds `lightning_logs/`.
        config: The resolved configuration as YAML.
        training: Whether this process will train the run on, so that no other process may train it.

    Raises:
        FileNotFoundError: If there is no such checkpoint or run.
        ValueError: If the checkpoint is damaged, lies in no run directory or is being trained on.
    """
    checkpoint = checkpoint_of(newest_run(root, config)) if ckpt_path == "last" else Path(ckpt_path)
    run = checkpoint.absolute().parent.parent
    if training and (run / "config.yaml").is_file():
        check_free(run)
    checkpoint = whole_checkpoint(checkpoint)
    if not (run / "config.yaml").is_file():
        # Otherwise the run's files would go into whatever directory holds that of the checkpoint.
        raise ValueError(f"`ckpt_path` must lie in the checkpoints of a run to continue it, got {ckpt_path!r}.")
    return Continued(run, checkpoint)


def whole_checkpoint(path: Path) -> Path:
    """A checkpoint if it is whole, else the checkpoint before it, with a line to the user that says so.

    Raises:
        FileNotFoundError: If there is none.
        CorruptFileError: If there is none that is whole.
    """
    previous = path.with_name("previous.ckpt")
    try:
        check_checkpoint(path)
    except (CorruptFileError, FileNotFoundError) as error:
        if path.name != "last.ckpt" or not previous.is_file():
            raise
        try:
            check_checkpoint(previous)
        except CorruptFileError:
            raise CorruptFileError(f"{error} previous.ckpt beside it is damaged too.") from None
        _tell_user(f"{error} Going on from previous.ckpt beside it.")
        return previous
    return path


@rank_zero_only
def _tell_user(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def newest_run(root: Path, config: str) -> Path:
    """The newest run below `root` with this configuration and a checkpoint.

    Raises:
        FileNotFoundError: If there is none.
    """
    wanted = _identity(yaml.safe_load(config))
    runs = [path.parent for path in (root / RUNS).glob("version_*/config.yaml")]
    numbered = sorted((number, run) for run in runs if (number := run_number(run)) is not None)
    same = [run for _, run in numbered if _holds_same_run(run / "config.yaml", wanted)]
    begun = [run for run in same if any((run / "checkpoints").glob("*.ckpt"))]
    if not begun:
        got = f"{same[-1].name}, which ended before its first; begin again without `ckpt_path`" if same else "none"
        raise FileNotFoundError(
            f"`ckpt_path` last must find a run of this configuration with a checkpoint in {root / RUNS}, got {got}."
        )
    return begun[-1]


def _holds_same_run(path: Path, wanted: dict[str, Any]) -> bool:
    """Whether a file holds the configuration of the same run; a file that cannot be read holds none."""
    try:
        config = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return _is_configuration(config) and _identity(config) == wanted


def _is_configuration(content: Any) -> bool:
    return isinstance(content, dict) and all(isinstance(content.get(name) or {}, dict) for name in ("model", "trainer"))


def _identity(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a configuration that decides the results, by which two runs are the same run.

    How many processes of which kind train it, by which code they compute, and what it shows are left out.
    """
    model = _without(_HOW_COMPUTED, config.get("model"))
    trainer = _without(_NO_RESULT, config.get("trainer"))
    # Processes that divide the batch train on a larger batch, so that their number decides the results.
    divided = trainer.get("strategy") == "ddp"
    trainer = _without({"accelerator"} if divided else {"accelerator", "devices", "num_nodes", "strategy"}, trainer)
    return {**config, "model": model, "trainer": trainer}


def _without(names: set[str], options: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (options or {}).items() if name not in names}
