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
def classes_start_anew() -> Iterator[None]:
    """While options are read, one that names another class keeps no argument of the class before.

    jsonargparse hands on what both classes have. That is right for inputs, whose `n_features` outlives their law, but
    SGD would decay weights because AdamW did.
    """
    with mock.patch.object(_typehints, _NAME, _discard):
        yield


def _discard(parser_or_action: Any, before: Any, now: Any) -> None:
    """Take from the class before the arguments that the one now is not to have."""
    if not before or "init_args" not in before or before["class_path"] == now["class_path"]:
        return
    kind = pkgutil.resolve_name(before["class_path"])
    if isinstance(kind, type) and issubclass(kind, InputDataModule):
        _keep_shared(parser_or_action, before, now)
    else:
        before["init_args"] = type(before["init_args"])()
