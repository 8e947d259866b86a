from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

_kept: ContextVar[dict[Any, tuple[Any, Any]] | None] = ContextVar("kept", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Functions marked `shared` compute a value once for the same tensors, until the end of the block.

    Most measurements of a network begin with the same few intermediates, such as its Gram matrix. The tensors must not
    change meanwhile, and memory for the intermediates is free again at the end.

    Example:
        >>> from polysemantic.functional import feature_dimensionality, min_angle
        >>> W = torch.eye(3)
        >>> with sharing():  # one product serves both
        ...     feature_dimensionality(W).mean().item(), min_angle(W).item()
        (1.0, 90.0)
    """
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def shared(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a pure function of tensors and numbers whose values `sharing` may keep; nobody may write into them."""
    defaults = [(name, parameter.default) for name, parameter in inspect.signature(function).parameters.items()]

    @functools.wraps(function)
    def once(*args: P.args, **kwargs: P.kwargs) -> R:
        kept = _kept.get()
        if kept is None:
            return function(*args, **kwargs)
        arguments = [*args, *(kwargs.get(name, default) for name, default in defaults[len(args) :])]
        key = (function, *[id(value) if isinstance(value, Tensor) else value for value in arguments])
        if key not in kept:
            # Kept beside the value, no other tensor can take on the identity of an argument.
            kept[key] = arguments, function(*args, **kwargs)
        value: R = kept[key][1]
        return value

    return once
