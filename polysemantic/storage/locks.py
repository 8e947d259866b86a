"""One process at a time trains in a run directory."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

_NAME = ".lock"


def occupy(run: Path, mode: int = fcntl.LOCK_EX, name: str = _NAME) -> IO[bytes]:
    """Keep other processes from training in a run directory until the file given back is closed or the process ends.

    Args:
        run: The run directory.
        mode: `LOCK_EX`, or `LOCK_SH` to keep out only those that train.
        name: The file in it that is locked.

    Raises:
        ValueError: If another process trains in it.
    """
    file = (run / name).open("ab")
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ValueError(f"`ckpt_path` must lie in a run that no other process trains, got {run}.") from None
    except OSError:
        # A filesystem that knows no locks protects nobody, which is no reason not to train on it.
        return file
    return file


def check_free(run: Path) -> None:
    """Refuse a run directory that another process trains in; any number of processes may ask at once.

    Raises:
        ValueError: If one does.
    """
    if (run / _NAME).is_file():
        occupy(run, fcntl.LOCK_SH).close()
