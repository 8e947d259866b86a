"""Options of earlier versions, and the options that take their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_INSTEAD = {"model.compile": "`model.engine` (auto, eager, ...) and `model.kernels` (auto, torch) take its place"}
REPLACED = frozenset(_INSTEAD)
"""The names of options that no longer exist."""
# Values that configurations of earlier versions hold, and what became of them.
_MOVED = {("model.autoencoder", "polysemantic.autoencoder.Autoencoder"): "this class has moved, and is the default"}


def instead(name: str) -> str:
    """The options that take the place of one of `REPLACED`, in words."""
    return _INSTEAD[name]


def replaced_option(name: str, given: Any) -> str:
    """One line that refuses an option that no longer exists, and names the options to use instead.

    Args:
        name: One of `REPLACED`.
        given: Its value, as text or as Python has it.

    Example:
        >>> replaced_option("model.compile", True)  # doctest: +ELLIPSIS
        '`model.compile` must be unset: `model.engine` ... take its place, got true.'
    """
    return _refusal(name, _INSTEAD[name], given)


def replaced_options(value_of: Callable[[str], Any]) -> str | None:
    """One line that names everything of an earlier version in a configuration; None if there is nothing.

    Args:
        value_of: Gives the value of an option; raises KeyError if it is not there.

    Example:
        >>> old = {"model.compile": None, "model.autoencoder": "polysemantic.autoencoder.Autoencoder"}
        >>> replaced_options(old.__getitem__)  # doctest: +ELLIPSIS
        '`model.compile` must be unset: ..., got null; `model.autoencoder` must be unset: ... got polysemantic.auto...'
    """
    found = []
    for name, reason in _INSTEAD.items():
        try:
            found.append(_refusal(name, reason, value_of(name)))
        except KeyError:
            continue
    for (name, old), reason in _MOVED.items():
        try:
            value = value_of(name)
        except KeyError:
            continue
        if str(value) == old:
            found.append(_refusal(name, reason, value))
    return f"{'; '.join(line.removesuffix('.') for line in found)}." if found else None


def _refusal(name: str, reason: str, given: Any) -> str:
    text = "null" if given is None else str(given).lower() if isinstance(given, bool) else given
    return f"`{name}` must be unset: {reason}, got {text}."
