"""Arguments of a class are discarded when a later option names another class."""

from __future__ import annotations

import contextlib
import pkgutil
from collections.abc import Iterator
from typing import Any
from unittest import mock

from jsonargparse import _typehints

from polysemantic.data import InputDataModule

_NAME = "discard_init_args_on_class_path_change"
_keep_shared = getattr(_typehints, _NAME)


@contextlib.contextmanager
def discard_init_args_on_class_change() -> Iterator[None]:
    """Discard the arguments of a class, within this context, when a later option names another class.

    jsonargparse keeps the arguments that both classes have. We keep them only for inputs, whose `n_features` stays the
    same when the distribution changes. An optimiser starts from its defaults: SGD must not decay weights because an
    AdamW before it did.
    """
    with mock.patch.object(_typehints, _NAME, _discard):
        yield


def _discard(parser_or_action: Any, before: Any, now: Any) -> None:
    """Discard the arguments in `before` that the class of `now` must not get."""
    if not before or "init_args" not in before or before["class_path"] == now["class_path"]:
        return
    kind = pkgutil.resolve_name(before["class_path"])
    if isinstance(kind, type) and issubclass(kind, InputDataModule):
        _keep_shared(parser_or_action, before, now)
    else:
        before["init_args"] = type(before["init_args"])()
