"""Arguments from Python: each of the kind that its annotation says, and none of an unknown name.

The parser of the command line checks kinds by itself. Python takes what it is given, and `tied="no"` would be true.
"""

from __future__ import annotations

import functools
import inspect
import os
import typing
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, cast, get_args, get_origin

from polysemantic.validation.suggestions import did_you_mean

P = ParamSpec("P")
R = TypeVar("R")

Explain = Callable[[str, Mapping[str, Any], list[str]], str]
"""From an unknown name, all arguments and the known names to what is said behind the unknown one."""

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", NoneType: "None"}
_REFUSED = object()
_LONG = 80


def closest(name: str, arguments: Mapping[str, Any], known: list[str]) -> str:  # noqa: ARG001  an `Explain`
    """The known name that is spelt alike."""
    return did_you_mean(name, known)


def checked_arguments(explain: Explain = closest, prefix: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function refuse, in one line each, arguments of another kind than annotated, and unknown ones.

    Numbers, truth values and texts of numpy and torch, and paths in place of texts, are handed on as those of Python.
    An annotation that is neither these, a class, `Literal`, a function nor a list of them is not checked.

    Args:
        explain: Says what an unknown name may have meant.
        prefix: What errors put before the name of an argument, as the command line does.

    Raises:
        ValueError: From the function, for an argument of another kind.
        TypeError: From the function, for an unknown argument.

    Example:
        >>> @checked_arguments()
        ... def train(l1: float, tied: bool = True) -> tuple[float, bool]:
        ...     return l1, tied
        >>> train(torch.tensor(0.5))
        (0.5, True)
        >>> train(0.5, tied="no")
        Traceback (most recent call last):
        ValueError: `tied` must be true or false, got 'no'.
        >>> train(0.5, tide=False)
        Traceback (most recent call last):
        TypeError: unknown option tide; did you mean tied?
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            positional, known, kinds = _signature(function)
            named = dict(zip(positional, args, strict=False))
            for name in kwargs:
                if known is not None and name not in known:
                    raise TypeError(f"unknown option {name}{explain(name, named | kwargs, known)}")
            plain = [_converted(name, value, kinds, prefix) for name, value in named.items()]
            options = {name: _converted(name, value, kinds, prefix) for name, value in kwargs.items()}
            return cast(Callable[..., R], function)(*plain, *args[len(plain) :], **options)

        return checked

    return decorate


@functools.cache
def _signature(function: Callable[..., Any]) -> tuple[list[str], list[str] | None, dict[str, Any]]:
    """The names of positional arguments, all names (None where any is taken), and the annotations."""
    parameters = inspect.signature(function).parameters.values()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return positional, None if takes_any else [p.name for p in parameters], typing.get_type_hints(function)


def _converted(name: str, value: Any, kinds: Mapping[str, Any], prefix: str) -> Any:
    return as_kind(f"{prefix}{name}", value, kinds[name]) if name in kinds else value


def as_kind(name: str, value: Any, kind: Any) -> Any:
    """A value as an annotation has it.

    Args:
        name: What the error calls it.
        value: The value.
        kind: The annotation.

    Raises:
        ValueError: If it is of another kind.

    Example:
        >>> as_kind("vary", {"l1": torch.tensor([0.0, 0.5])}, dict[str, list[float]])
        {'l1': [0.0, 0.5]}
    """
    converted = _as_kind(name, value, kind)
    if converted is _REFUSED:
        raise ValueError(f"`{name}` must be {_rule(kind, value)}")
    return converted


def _as_kind(name: str, value: Any, kind: Any) -> Any:
    """A value as an annotation has it, or the mark of refusal."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return next((found for one in inner if (found := _as_kind(name, value, one)) is not _REFUSED), _REFUSED)
    if kind in (bool, int, float, str):
        return _as_scalar(value, kind)
    if origin is Literal:
        text = _as_scalar(value, str)
        return text if text in inner else _REFUSED
    if origin is list:
        return _as_list(name, value, inner[0])
    if origin is dict and isinstance(value, dict):
        return {key: as_kind(f"{name}.{key}", item, inner[1]) for key, item in value.items()}
    return value if _is_of(value, kind) else _REFUSED


def _is_of(value: Any, kind: Any) -> bool:
    """Whether an object is of a class, is a class below it, or can be called, as an annotation asks; else it may be."""
    origin = get_origin(kind)
    if Callable in (origin, kind):
        return callable(value)
    if origin is type:
        return isinstance(value, type) and issubclass(value, get_args(kind)[0])
    base = origin or kind
    return kind is Any or not isinstance(base, type) or isinstance(value, base)


def _as_scalar(value: Any, kind: type) -> Any:
    """A truth value, number or text of Python, from one of numpy or torch too, or a path for a text."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if kind is str:
        return os.fspath(value) if isinstance(value, (str, os.PathLike)) else _REFUSED
    if kind is bool or isinstance(value, bool):
        return value if kind is bool and isinstance(value, bool) else _REFUSED
    if isinstance(value, int):
        return kind(value)
    return value if kind is float and isinstance(value, float) else _REFUSED


def _as_list(name: str, value: Any, kind: Any) -> Any:
    """A list from a sequence or an array, each item of the kind."""
    if not isinstance(value, Sequence) and hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return _REFUSED
    items = [_as_kind(name, item, kind) for item in value]
    return _REFUSED if any(item is _REFUSED for item in items) else items


def _rule(kind: Any, value: Any) -> str:
    """What an annotation asks for, what was given instead, and what was perhaps meant."""
    inner = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    choices = [str(choice) for one in inner if get_origin(one) is Literal for choice in get_args(one)]
    words = [f"one of {', '.join(choices)}"] if choices else []
    words += [_word(one) for one in inner if get_origin(one) is not Literal]
    return f"{' or '.join(words)}, got {short_repr(value)}{did_you_mean(value, choices) or '.'}"


def _word(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if Callable in (origin, kind):
        return "a function or a class"
    if origin is type:
        return f"a subclass of {inner[0].__name__}"
    if origin is list:
        return f"a list of {_word(inner[0]).partition(' ')[2]}s"
    name = getattr(origin or kind, "__name__", str(kind))
    return _WORDS.get(kind, f"{'an' if name[0] in 'AEIO' else 'a'} {name}")


def short_repr(value: Any) -> str:
    """A value as Python writes it, on one line and no longer than a line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
