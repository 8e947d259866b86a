from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from polysemantic.callbacks import (
    Charts,
    Checkpoint,
    CollisionTracker,
    Convergence,
    CostlyMeasurements,
    InputsLog,
    Measurements,
    Results,
    Snapshots,
    StepProgress,
    Survival,
)
from polysemantic.checkpoints import SealedCheckpointIO
from polysemantic.files import RUNS, new_run_directory, write_whole

# Ours is an endless stream drawn on the device: advice on dataloader workers is beside the point.
for _name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)
# Lightning's own use of torch, at every fit.
warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)


class RunLogger(TensorBoardLogger):
    """TensorBoard events in a run directory of its own, taken when first asked for and never another run's.

    Args:
        root: Directory that holds `lightning_logs/`.
        directory: The run directory to continue in; None takes the next `version_N`.
    """

    def __init__(self, root: Path, directory: Path | None = None) -> None:
        super().__init__(root, name=RUNS, version=None if directory is None else directory.name)
        self._continued = directory

    @property
    @override
    def root_dir(self) -> str:
        return super().root_dir if self._continued is None else str(self._continued.parent)

    @override
    def _get_next_version(self) -> int:
        if getattr(rank_zero_only, "rank", 0) != 0:
            return 0
        try:
            directory = new_run_directory(Path(self.save_dir or "."))
        except OSError as error:
            rule = "`trainer.default_root_dir` must be a directory that can be written to"
            raise ValueError(f"{rule}, got {self.save_dir}: {error.strerror}") from error
        return int(directory.name.removeprefix("version_"))

    @override
    def save(self) -> None:
        """Nothing: config.yaml already says what the base class would."""


class ConfigFile(Callback):
    """Writes the resolved configuration as `config.yaml` when a run begins; what fails from then on has a note of it.

    Args:
        text: The configuration as YAML.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._begun = False

    def _write(self, trainer: Trainer) -> None:
        self._begun = True
        if trainer.is_global_zero:
            assert trainer.log_dir is not None
            write_whole(Path(trainer.log_dir) / "config.yaml", self.text.encode())

    # Not earlier: a checkpoint that does not fit must leave its run's configuration as it is.
    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer)

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer)

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if self._begun:
            exception.add_note(f"in run {trainer.log_dir}, at step {trainer.global_step}")


def standard_callbacks(
    measurements: Measurements,
    collisions: CollisionTracker,
    snapshots: Snapshots,
    checkpoint: Checkpoint,
    convergence: Convergence,
    config: str,
) -> list[Callback]:
    """The callbacks of every run, in the order in which they act."""
    costly = CostlyMeasurements(measurements)
    shown = [InputsLog(), Charts(measurements), StepProgress(measurements), Survival(collisions)]
    derived = [*shown, Results(measurements, convergence, collisions, costly)]
    # Convergence comes first, as the others then find what diverged frozen.
    return [ConfigFile(config), convergence, measurements, costly, collisions, snapshots, *derived, checkpoint]


def build_trainer(callbacks: list[Callback], directory: Path | None, *, logged: bool = True, **options: Any) -> Trainer:
    """A trainer that trains ensembles.

    Args:
        callbacks: Callbacks, in order.
        directory: A run directory to continue in, or None for a new one.
        logged: Whether the run has a directory at all.
        **options: Options of Lightning's Trainer.

    Raises:
        ValueError: If an option would change the results or couple instances.
    """
    root = Path(options.get("default_root_dir") or ".").absolute()
    if logged and options.get("logger") is False:
        raise ValueError("`trainer.logger` must be unset or a logger, got false: results need its directory.")
    if options.get("logger") in (None, True):
        options["logger"] = RunLogger(root, directory) if logged else False
    if options.get("enable_progress_bar") is False:
        callbacks = [callback for callback in callbacks if not isinstance(callback, StepProgress)]
    # Ours are written whole, sealed, and between chunks; Lightning's own would come on top.
    options |= {"enable_checkpointing": False, "callbacks": callbacks, "num_sanity_val_steps": 0}
    # Measurements are taken as we go; a run that stops early would otherwise be validated on top.
    options["check_val_every_n_epoch"] = sys.maxsize
    options["plugins"] = [*_as_list(options.get("plugins")), SealedCheckpointIO()]
    options["enable_model_summary"] = bool(options.get("enable_model_summary"))
    _check_options(options)
    return Trainer(**options)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _check_options(options: dict[str, Any]) -> None:
    precision = options.get("precision")
    if precision not in (None, 32, 64, "32", "64", "32-true", "64-true"):
        raise ValueError(f"`trainer.precision` must be 32 or 64, got {precision!r}.")
    accumulated = options.get("accumulate_grad_batches", 1)
    if accumulated != 1:
        raise ValueError(f"`trainer.accumulate_grad_batches` must be 1, got {accumulated}; raise `batch_size` instead.")
    if options.get("fast_dev_run"):
        raise ValueError("`trainer.fast_dev_run` must be unset, got true: a small `trainer.max_steps` does as well.")
    clip = options.get("gradient_clip_val")
    if clip is not None:
        raise ValueError(
            f"`trainer.gradient_clip_val` must be unset, got {clip}: it would couple instances; "
            "`model.clip_norm` clips each by itself."
        )
    max_steps = options.get("max_steps", -1)
    if max_steps is None or max_steps < 1:
        raise ValueError(f"`trainer.max_steps` must be at least 1, got {max_steps}.")
