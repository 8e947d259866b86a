"""C++ of our own, compiled where it runs and kept beside what torch's compiler keeps for later processes."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

_OPTIONS = ("-std=c++17", "-O3", "-fPIC", "-shared")


@functools.cache
def compiled(source: str, instructions: tuple[str, ...] = ()) -> ctypes.CDLL | None:
    """The functions of a source file beside this one.

    Args:
        source: Its name.
        instructions: What the compiler may use of the processor beyond what every one of its kind has.

    Returns:
        The library; None where there is no compiler for it.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    here = Path(__file__).parent
    flags = [*_OPTIONS, *(f"-m{name}" for name in instructions)]
    try:
        with tempfile.TemporaryDirectory() as temporary:
            texts = [path.read_bytes() for path in (here / source, *sorted(here.glob("*.h")))]
            name = hashlib.sha256(b"\0".join([*texts, *map(str.encode, flags)])).hexdigest()
            kept = (_own_directory() or Path(temporary)) / f"{name}.so"
            if not kept.exists():
                made = kept.with_suffix(f".{os.getpid()}")
                command = [get_cpp_compiler(), *flags, str(here / source), "-o", str(made)]
                subprocess.run(command, check=True, capture_output=True)
                made.replace(kept)  # whole or not at all, whoever else makes it
            return ctypes.CDLL(str(kept))
    except (InvalidCxxCompiler, OSError, subprocess.CalledProcessError):
        return None


def _own_directory() -> Path | None:
    """Where libraries are kept; None unless it is this user's alone to write to, as whatever lies there is run."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    try:
        directory = Path(cache_dir(), "polysemantic")
        directory.mkdir(mode=0o700, exist_ok=True)
        found = [path.stat() for path in (directory.parent, directory)]
    except OSError:
        return None
    safe = all(stat.st_uid == os.getuid() and not stat.st_mode & 0o022 for stat in found)
    return directory if safe and os.access(directory, os.W_OK) else None
