from __future__ import annotations

import hashlib
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Callback, Trainer

from polysemantic.callbacks import StepProgress
from polysemantic.distributed import InstanceParallel, choose_strategy
from polysemantic.runtime.logger import RunLogger
from polysemantic.runtime.options import check_callbacks, check_options, explained
from polysemantic.runtime.run_config import ConfigFile
from polysemantic.storage.checkpoints import SealedCheckpointIO
from polysemantic.storage.run_directories import RUNS

# Inputs are an endless stream drawn on the device, so Lightning's advice on dataloader workers does not apply.
for _name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)
# Lightning's own use of torch causes this warning at every fit.
warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)


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
    check_options(options)
    check_callbacks(callbacks)
    root = Path(options.get("default_root_dir") or ".").absolute()
    if logged and options.get("logger") is False:
        raise ValueError("`trainer.logger` must be unset or a logger, got false: results need its directory.")
    if options.get("logger") in (None, True):
        options["logger"] = RunLogger(root, directory) if logged else False
    if options.get("enable_progress_bar") is False:
        callbacks = [callback for callback in callbacks if not isinstance(callback, StepProgress)]
    # Our checkpoints are written whole, sealed, and between chunks of steps; Lightning would write its own as well.
    options |= {"enable_checkpointing": False, "callbacks": callbacks, "num_sanity_val_steps": 0}
    # Callbacks measure during training; Lightning would validate a run that stops early once more.
    options["check_val_every_n_epoch"] = sys.maxsize
    options["plugins"] = [*_as_list(options.get("plugins")), SealedCheckpointIO()]
    options["enable_model_summary"] = bool(options.get("enable_model_summary"))
    if options.get("profiler") is not None:
        logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)
    if logged and SLURMEnvironment.detect():
        options["default_root_dir"] = _requeue_directory(root, callbacks)
    strategy = choose_strategy(options.get("strategy"))
    with explained(options):
        trainer = Trainer(**options | {"strategy": strategy or "auto"})
    # Only a Trainer knows how many processes the options and the cluster make together.
    if strategy is None and trainer.world_size > 1:
        trainer = Trainer(**options | {"strategy": InstanceParallel()})
    return trainer


def _requeue_directory(root: Path, callbacks: list[Callback]) -> Path:
    """The directory where Lightning saves a run that SLURM requeues, and where it looks for one when it starts.

    The name has the job and a hash of the configuration, so that no other run goes on from the checkpoint.
    """
    config = "".join(callback.text for callback in callbacks if isinstance(callback, ConfigFile))
    return root / RUNS / "requeued" / f"{SLURMEnvironment.job_id()}_{hashlib.sha256(config.encode()).hexdigest()[:12]}"


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
