from __future__ import annotations

import importlib
import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from typing_extensions import override

from polysemantic.sweep.engines import LOSSES, Engine, Event, Task, lost
from polysemantic.sweep.ray_worker import run_cell_in_worker
from polysemantic.sweep.run import STATE, Outcome

# Results go through files; Ray itself moves configurations.
_OBJECT_STORE = 100 * 2**20
_SECONDS_BETWEEN_LOOKS = 1.0
_LOCAL = "local"
# Ray runs whatever it is sent. Whatever the name says, it then listens on 127.0.0.1 alone, on every system.
_GUARDED = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


class RayCluster(Engine):
    """Runs as tasks of Ray Core, on the cluster of RAY_ADDRESS or else on one of this machine alone.

    All nodes must see the sweep's directory under the same path.

    Args:
        cpus: Processors for each run.
        gpus: Accelerators for each run, fractions too.

    Raises:
        ValueError: If Ray is not installed, its cluster cannot be reached, or one of this machine cannot be guarded.
    """

    def __init__(self, cpus: float = 1, gpus: float = 0) -> None:
        address = os.environ.get("RAY_ADDRESS") or _LOCAL
        # Ray reads the environment when it is imported.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if address == _LOCAL:
            _guard()
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError:
            message = "`engine` ray must have Ray installed, got none; pip install 'polysemantic[ray]' installs it"
            raise ValueError(message) from None
        self._ray = ray
        alone: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE}
        try:
            ray.init(address, log_to_driver=False, logging_level="error", **(alone if address == _LOCAL else {}))
        except ray.exceptions.AuthenticationError as error:
            # What follows the first sentence is general advice.
            reason = str(error).partition(". ")[0]
            raise ValueError(f"`RAY_AUTH_TOKEN_PATH` must hold the cluster's token, got none: {reason}.") from error
        except (ConnectionError, RuntimeError) as error:
            raise ValueError(f"`RAY_ADDRESS` must be that of a cluster, got {address!r}: {error}") from error
        # A run that fails is a result; one whose worker or node dies goes on elsewhere.
        options = {"max_retries": LOSSES - 1, "retry_exceptions": False, "num_cpus": cpus, "num_gpus": gpus}
        self._task = ray.remote(**options)(run_cell_in_worker)

    @override
    def run(self, tasks: Iterable[Task]) -> Iterator[Event]:
        """Run each task once."""
        running = {self._task.remote(*task): task for task in tasks}
        # The tasks that no worker has written down yet; keyed by directory, as configurations are no keys.
        unseen = {task.directory: (task, _last_note(task.directory)) for task in running.values()}
        while running:
            for ref in self._ray.wait(list(running), timeout=_SECONDS_BETWEEN_LOOKS)[0]:
                task = running.pop(ref)
                unseen.pop(task.directory, None)
                yield task, self._outcome(task, ref)
            for task, before in list(unseen.values()):
                if _last_note(task.directory) != before:
                    del unseen[task.directory]
                    yield task, None

    def _outcome(self, task: Task, ref: Any) -> Outcome:
        try:
            outcome: Outcome = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            return lost(task, f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
        return outcome

    @override
    def close(self) -> None:
        """Leave the cluster, which ends what is still running."""
        self._ray.shutdown()


def _guard() -> None:
    """Let a cluster of this machine be reached from this machine alone, and with a token.

    Raises:
        ValueError: If Ray has read other settings.
    """
    if sys.modules.get("ray") and not _GUARDED.items() <= os.environ.items():
        settings = " ".join(f"{name}={value}" for name, value in _GUARDED.items())
        raise ValueError(f"`engine` ray must find {settings} set where modules of yours import Ray, got it imported.")
    os.environ.update(_GUARDED)
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _last_note(directory: Path) -> int:
    """When a run's state was last written down."""
    try:
        return (directory / STATE).stat().st_mtime_ns
    except FileNotFoundError:
        return 0
