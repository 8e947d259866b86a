"""What the checks of a user's own classes share: which classes they are, and errors that name them on one line."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

_LONGEST = 200


class UserClassError(ValueError):
    """A class of the user's breaks the contract of the class that it extends."""


def is_users(kind: type) -> bool:
    """Whether a class was defined outside of this package."""
    return kind.__module__.partition(".")[0] != "polysemantic"


@contextlib.contextmanager
def named_errors(kind: type, method: str) -> Iterator[None]:
    """Turn an error in a method of a user's class into one line that names the method, the error and where it arose.

    Args:
        kind: The class.
        method: The method that is called.

    Raises:
        UserClassError: If an error arises, except where memory ran out, which is no mistake of the class.
    """
    try:
        yield
    except UserClassError:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or "memory" in str(error):
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(".")
        said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]} ..."
        where = _line_of(kind, error)
        rule = "must run without an error"
        raise UserClassError(f"`{kind.__name__}.{method}` {rule}, got {said}{where}.") from error


def _line_of(kind: type, error: BaseException) -> str:
    """The last line of the package of a class that an error passed through, in brackets; empty if there was none."""
    package = kind.__module__.partition(".")[0]
    lines = [
        (frame.f_code.co_filename, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] == package
    ]
    return f" ({Path(lines[-1][0]).name}, line {lines[-1][1]})" if lines else ""
