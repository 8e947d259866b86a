"""Options of earlier versions, and the options that take their place."""

from __future__ import annotations

from typing import Any

_INSTEAD = {"model.compile": "`model.engine` (auto, eager, ...) and `model.kernels` (auto, torch) take its place"}
REPLACED = frozenset(_INSTEAD)
"""The names of options that no longer exist."""


def replaced_option(name: str, given: Any) -> str:
    """One line that refuses an option that no longer exists, and names the options to use instead.

    Args:
        name: One of `REPLACED`.
        given: Its value, as text or as Python has it.

    Example:
        >>> replaced_option("model.compile", True)  # doctest: +ELLIPSIS
        '`model.compile` must be unset: `model.engine` ... take its place, got true.'
    """
    text = str(given).lower() if isinstance(given, bool) else given
    return f"`{name}` must be unset: {_INSTEAD[name]}, got {text}."
