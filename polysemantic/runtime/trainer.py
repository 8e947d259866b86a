from __future__ import annotations

import contextlib
import hashlib
import logging
import platform
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import yaml
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from polysemantic.callbacks import (
    Bands,
    Charts,
    Checkpoint,
    CollisionTracker,
    Convergence,
    HParams,
    InputsLog,
    Measurements,
    Results,
    Snapshots,
    StepProgress,
    Survival,
    WeightsLog,
    WholeSteps,
)
from polysemantic.callbacks.directory import run_directory
from polysemantic.callbacks.tensorboard.event_files import event_writer
from polysemantic.distributed import InstanceParallel, choose_strategy
from polysemantic.runtime.faults import is_out_of_memory
from polysemantic.runtime.memory import bytes_in_run, free_bytes
from polysemantic.storage.checkpoints import SealedCheckpointIO
from polysemantic.storage.files import RUNS, new_run_directory, remove_parts, write_whole
from polysemantic.storage.locks import occupy

# Ours is an endless stream drawn on the device: advice on dataloader workers is beside the point.
for _name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)
# Lightning's own use of torch, at every fit.
warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)


_DECISIVE = ("torch", "lightning", "numpy")
# Above, floating point no longer tells steps apart.
_MANY_STEPS = 2**53
# Options of Lightning that count batches, with what they are unless asked for.
_OF_BATCHES = {
    "max_epochs": -1,
    "min_epochs": None,
    "min_steps": None,
    "limit_train_batches": None,
    "overfit_batches": 0,
    "val_check_interval": None,
}
# Callbacks of Lightning that wait for the ends of epochs and for what is logged then, and what does their work.
_OF_EPOCHS = {EarlyStopping: "`convergence.stop` ends a run", ModelCheckpoint: "`checkpoint` writes checkpoints"}


class RunLogger(TensorBoardLogger):
    """TensorBoard events in a run directory of its own, taken when first asked for and never another run's.

    Args:
        root: Directory that holds `lightning_logs/`.
        directory: The run directory to continue in; None takes the next `version_N`.
    """

    def __init__(self, root: Path, directory: Path | None = None) -> None:
        super().__init__(root, name=RUNS, version=None if directory is None else directory.name)
        self._continued = directory
        self._lock: IO[bytes] | None = None
        self._used = directory is not None

    def agree(self, strategy: Strategy) -> None:
        """Let every process know the directory that the first one took."""
        self._version = strategy.broadcast(self.version)

    def occupy(self, strategy: Strategy) -> None:
        """Keep other processes from training in the directory, and remove what killed ones left half written.

        Raises:
            ValueError: If another process trains in it.
        """
        refusal = None
        if strategy.is_global_zero:
            try:
                self._lock = occupy(Path(self.log_dir))
                remove_parts(Path(self.log_dir))
            except ValueError as error:
                refusal = str(error)
        refusal = strategy.broadcast(refusal)
        if refusal is not None:
            raise ValueError(refusal)

    def use(self) -> None:
        """Let the directory stay, whatever becomes of the run."""
        self._used = True

    @override
    def finalize(self, status: str) -> None:
        super().finalize(status)
        if self._lock is not None:
            self._lock.close()
        if not self._used and self._version is not None and getattr(rank_zero_only, "rank", 0) == 0:
            _remove_unused(Path(self.log_dir))

    @property
    @override
    def experiment(self) -> Any:
        if self._experiment is None and getattr(rank_zero_only, "rank", 0) == 0:
            self._experiment = event_writer(self.log_dir)
        return super().experiment

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


def _remove_unused(directory: Path) -> None:
    """Remove the directory of a run that was refused before it began, unless something else is in it."""
    for path in (*directory.glob("events.out.tfevents.*"), directory / ".lock"):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        directory.rmdir()


class ConfigFile(Callback):
    """Writes `config.yaml`, resolved, and `versions.yaml` when a run begins; what fails from then on has a note of it.

    Args:
        text: The configuration as YAML.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._begun = False

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if isinstance(trainer.logger, RunLogger):
            trainer.logger.agree(trainer.strategy)

    def _write(self, trainer: Trainer) -> None:
        self._begun = True
        if isinstance(trainer.logger, RunLogger):
            trainer.logger.use()
        if trainer.is_global_zero:
            write_whole(self._path(trainer), self.text.encode())
            write_whole(self._path(trainer).with_name("versions.yaml"), yaml.safe_dump(_versions()).encode())

    def _path(self, trainer: Trainer) -> Path:
        return run_directory(trainer) / "config.yaml"

    def _write_again(self, trainer: Trainer) -> None:
        """Make the directory anew if somebody removed it, rather than lose what was trained."""
        if trainer.is_global_zero and not self._path(trainer).is_file():
            sys.stderr.write(
                f"{run_directory(trainer)} was removed and is made anew; its earlier snapshots are lost.\n"
            )
            self._write(trainer)

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(trainer.logger, RunLogger):
            trainer.logger.occupy(trainer.strategy)

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._write_again(trainer)

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._begun:
            self._write_again(trainer)
        elif trainer.ckpt_path is None:
            # Lightning skips training without a word, and nobody has measured anything.
            raise ValueError("`trainer.max_time` must let a run take a step, got none.")

    # Not earlier: a checkpoint that does not fit must leave its run's configuration as it is.
    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer)

    @override
    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer)

    @override
    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        if is_out_of_memory(exception):
            device = trainer.strategy.root_device
            each = bytes_in_run(trainer, pl_module, pl_module.data.batch_size)
            free = free_bytes(device) / 1e9
            exception.add_note(
                f"each instance takes {each / 1e6:.3g} MB or more, and {free:.3g} GB are free on {device}"
            )
        if self._begun:
            exception.add_note(f"in run {run_directory(trainer)}, at step {trainer.global_step}")


def _versions() -> dict[str, str]:
    """Versions of what decides the numbers of a run."""
    return {"python": platform.python_version()} | {name: version(name) for name in ("polysemantic", *_DECISIVE)}


def standard_callbacks(
    measurements: Measurements,
    collisions: CollisionTracker,
    snapshots: Snapshots,
    checkpoint: Checkpoint,
    convergence: Convergence,
    config: str,
    *,
    quiet: bool = False,
) -> list[Callback]:
    """The callbacks of every run, in the order in which they act; if `quiet`, they print nothing but warnings."""
    progress = StepProgress(measurements)
    if quiet:
        # Without any bar Lightning would bring its own.
        progress.disable()
    drawn = [InputsLog(), Charts(measurements), Bands(measurements), WeightsLog(snapshots)]
    shown = [*drawn, progress, Survival(collisions, convergence, quiet=quiet)]
    results = Results(measurements, convergence, collisions, quiet=quiet)
    derived = [*shown, results, HParams(results)]
    # Convergence comes first, as the others then find what diverged frozen.
    first = [WholeSteps(), ConfigFile(config)]
    return [*first, convergence, measurements, collisions, snapshots, *derived, checkpoint]


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
    _check_options(options)
    _check_batches(options)
    _check_callbacks(callbacks)
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
    if options.get("profiler") is not None:
        logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)
    if logged and SLURMEnvironment.detect():
        options["default_root_dir"] = _requeued(root, callbacks)
    strategy = choose_strategy(options.get("strategy"))
    trainer = Trainer(**options | {"strategy": strategy or "auto"})
    if strategy is None and trainer.world_size > 1:
        trainer = Trainer(**options | {"strategy": InstanceParallel()})
    return trainer


def _requeued(root: Path, callbacks: list[Callback]) -> Path:
    """Where Lightning saves a run that SLURM requeues, and looks when it starts: nothing else's checkpoint is there."""
    config = "".join(callback.text for callback in callbacks if isinstance(callback, ConfigFile))
    return root / RUNS / "requeued" / f"{SLURMEnvironment.job_id()}_{hashlib.sha256(config.encode()).hexdigest()[:12]}"


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
    if options.get("enable_checkpointing") is False:
        rule = "be unset: `checkpoint.every_n_seconds` says how often checkpoints are written"
        raise ValueError(f"`trainer.enable_checkpointing` must {rule}, got false.")
    clip = options.get("gradient_clip_val")
    if clip is not None:
        raise ValueError(
            f"`trainer.gradient_clip_val` must be unset, got {clip}: it would couple instances; "
            "`model.clip_norm` clips each by itself."
        )
    max_steps = options.get("max_steps", -1)
    if max_steps is None or max_steps < 1:
        raise ValueError(f"`trainer.max_steps` must be at least 1, got {max_steps}.")
    if max_steps >= _MANY_STEPS:
        raise ValueError(f"`trainer.max_steps` must be below 2^53, got {max_steps}.")


def _check_batches(options: dict[str, Any]) -> None:
    for name, default in _OF_BATCHES.items():
        if options.get(name, default) not in (None, default):
            rule = "be unset, as a batch here is as many steps as half a second holds"
            raise ValueError(f"`trainer.{name}` must {rule}, got {options[name]}; `trainer.max_steps` ends a run.")


def _check_callbacks(callbacks: list[Callback]) -> None:
    for callback in callbacks:
        for kind, instead in _OF_EPOCHS.items():
            if isinstance(callback, kind):
                raise ValueError(f"`trainer.callbacks` must hold no {kind.__name__}, got one: {instead}.")
