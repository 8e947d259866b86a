"""The task that workers of Ray run. This module imports nothing heavy, so that torch is not loaded when it begins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from polysemantic.runtime.environment import set_library_defaults

if TYPE_CHECKING:
    from polysemantic.sweep.run import Outcome


def run_cell_in_worker(directory: Path, config: dict[str, Any], home: Path) -> Outcome:
    """Finish a run as `run_cell` does, in a process that Ray started with the environment of its node.

    Args:
        directory: The run directory, named by the configuration's hash.
        config: The resolved configuration.
        home: The directory that relative paths and the user's modules are in.
    """
    set_library_defaults()
    from polysemantic.sweep.run import run_cell

    return run_cell(directory, config, home)
