from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """`; did you mean X?` with the closest known word, or nothing.

    Example:
        >>> did_you_mean("probabilty", ["probability", "l1"])
        '; did you mean probability?'
    """
    close = difflib.get_close_matches(given, sorted(set(known) - {given}), n=1)
    return f"; did you mean {close[0]}?" if close else ""
