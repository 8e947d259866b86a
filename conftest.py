import builtins
import collections
import contextlib
import functools
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable
from types import CodeType
from typing import Any

import jaxtyping
import pytest
import torch
from beartype.roar import BeartypeDecorHintException

# Its kernels are written in Triton, which comes with torch where there is a GPU.
collect_ignore = [] if importlib.util.find_spec("triton") else ["polysemantic/kernels/triton_products.py"]
MOST = 20
made: collections.Counter[CodeType] = collections.Counter()
_with_shapes = jaxtyping.jaxtyped


def _with_shapes_where_there_are_any(*, typechecker: Callable[..., Any]) -> Callable[..., Any]:
    """The decorator of the import hook, but with checks made when they are first needed: most are in no one process."""

    def decorate(defined: Any) -> Any:
        if isinstance(defined, classmethod | staticmethod):
            return type(defined)(decorate(defined.__func__))
        if isinstance(defined, property):
            return property(*(each and decorate(each) for each in (defined.fget, defined.fset, defined.fdel)))
        if not inspect.isfunction(defined):
            return _with_shapes(defined, typechecker=typechecker)
        if "<locals>" not in defined.__qualname__:
            return _unless_disabled(defined, functools.cache(lambda: _checked(defined, typechecker)))
        # Making a check takes longer than most calls, and some functions within others are made again and again. What
        # their annotations name may be local, so that it is known now alone.
        made[defined.__code__] += 1
        if made[defined.__code__] > MOST:
            return defined
        checked = _checked(defined, typechecker)
        return _unless_disabled(defined, lambda: checked)

    return decorate


def _unless_disabled(defined: Callable[..., Any], checked: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    @functools.wraps(defined)
    def either(*arguments: Any, **options: Any) -> Any:
        return (defined if jaxtyping.config.jaxtyping_disable else checked())(*arguments, **options)

    return either


def _checked(defined: Callable[..., Any], typechecker: Callable[..., Any]) -> Callable[..., Any]:
    """A function with its check; that of shapes takes many times as long as that of types alone."""
    if _has_no_shapes(defined):
        # Some annotations are beyond the checker, which jaxtyping passes over.
        with contextlib.suppress(BeartypeDecorHintException):
            return typechecker(defined)
    return _with_shapes(defined, typechecker=typechecker)


def _has_no_shapes(function: Callable[..., Any]) -> bool:
    """Whether the names in its annotations are known by now and none is jaxtyping's, or holds what is."""
    names = re.findall(r"(?<![\w.])[A-Za-z_]\w*", " ".join(map(str, function.__annotations__.values())))
    known = vars(builtins) | function.__globals__
    return all(name in known and "jaxtyping" not in repr(known[name]) for name in names)


# What is imported beneath the hook is compiled anew in every process, and these are large.
LARGE = ("lightning.pytorch.cli", "pandas", "scipy.stats", "torch.utils.tensorboard", "torch._inductor.cpp_builder")
for name in LARGE:
    importlib.import_module(name)
jaxtyping.jaxtyped = _with_shapes_where_there_are_any
# Shapes and types of the whole package are checked while its tests run; an int is a float, as PEP 484 has it.
CONF = "beartype.BeartypeConf(is_pep484_tower=True, violation_type=TypeError)"
jaxtyping.install_import_hook("polysemantic", f"beartype.beartype(conf={CONF})")


@pytest.fixture(autouse=True)
def _names_of_doctests(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["torch"] = torch
