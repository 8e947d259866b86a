from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO, Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from polysemantic.callbacks.tensorboard.event_files import event_writer
from polysemantic.storage.files import remove_unfinished
from polysemantic.storage.locks import occupy
from polysemantic.storage.run_directories import RUNS, new_run_directory


class RunLogger(TensorBoardLogger):
    """TensorBoard events in a run directory of their own, made when first asked for and never another run's.

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
        """Tell every process the directory that the first process took."""
        self._version = strategy.broadcast(self.version)

    def occupy(self, strategy: Strategy) -> None:
        """Keep other processes from training in the directory, and remove files that killed processes left unfinished.

        Raises:
            ValueError: If another process trains in it.
        """
        refusal = None
        if strategy.is_global_zero:
            try:
                self._lock = occupy(Path(self.log_dir))
                remove_unfinished(Path(self.log_dir))
            except ValueError as error:
                refusal = str(error)
        # All processes must raise the error, or those that did not ask would wait for the first for ever.
        refusal = strategy.broadcast(refusal)
        if refusal is not None:
            raise ValueError(refusal)

    def use(self) -> None:
        """Keep the directory, even if the run fails from now on."""
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
        """Do nothing: config.yaml already holds what the base class would write."""


def _remove_unused(directory: Path) -> None:
    """Remove the directory of a run that was refused before it began, unless something else is in it."""
    for path in (*directory.glob("events.out.tfevents.*"), directory / ".lock"):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        directory.rmdir()
