"""The parser of the commands that take a configuration."""

from __future__ import annotations

import inspect
import pkgutil
import re
import sys
from typing import Any, NoReturn

from jsonargparse import Namespace
from jsonargparse._common import lenient_check
from jsonargparse._link_arguments import ActionLink
from lightning.pytorch.cli import LightningArgumentParser
from typing_extensions import override

from polysemantic.cli.error_line import print_error
from polysemantic.cli.explanations import explain, option_names
from polysemantic.cli.options import required
from polysemantic.validation.replaced import replaced_options


class OneLineParser(LightningArgumentParser):
    """A parser that explains each error on one line."""

    def require(self, option: str) -> None:
        """Ask for a value of an option, whatever default its class has.

        Args:
            option: Its dotted name.
        """
        for action in self._actions:
            if action.dest == option:
                action.required, action.default = True, None

    @override
    def _parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        # jsonargparse does not catch errors of the import of a class that a `type[...]` option names.
        try:
            return super()._parse_known_args(*args, **kwargs)
        except (ModuleNotFoundError, AttributeError) as error:
            if not re.match(r"No module named|module '[^']+' has no attribute", str(error)):
                raise
            self.error(f"a class must be one that can be imported, got {error}")

    @override
    def parse_string(self, *args: Any, **kwargs: Any) -> Namespace:
        config: Namespace = super().parse_string(*args, **kwargs)
        # In a file jsonargparse accepts an option that is linked to another; on the command line it refuses it.
        for action in self._actions:
            if isinstance(action, ActionLink) and action.dest in config:
                action()
        self._refuse_replaced(config)
        return config

    @override
    def _parse_common(self, cfg: Namespace, *args: Any, **kwargs: Any) -> Namespace:
        give_varied_a_value(_of_command(cfg))
        return super()._parse_common(cfg, *args, **kwargs)

    @override
    def validate(self, *args: Any, **kwargs: Any) -> None:
        # Options of a group may be given together, as `--model '{l1: 0.1}'`, and never pass through `parse_string`.
        self._refuse_replaced(args[0])
        options = _of_command(args[0])
        # What is printed by `--print_config` may lack values.
        whole = not (lenient_check.get() or kwargs.get("skip_required"))
        if whole and isinstance(options.get("model"), Namespace) and (missing := self._missing(options)):
            self.error(f"arguments are required: {', '.join(missing)}")
        super().validate(*args, **kwargs)

    @staticmethod
    def _missing(options: Namespace) -> list[str]:
        """The options without a value that must have one, those of the inputs among them."""
        missing = [name for name in required() if options.get(name) is None]
        return missing + [f"data.{name}" for name in unset_arguments(options.get("data"))]

    def _refuse_replaced(self, config: Namespace) -> None:
        options = _of_command(config)

        def value_of(name: str) -> Any:
            if name not in options:
                raise KeyError(name)
            return options[name]

        if (line := replaced_options(value_of)) is not None:
            self.error(line)

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        sys.exit(print_error(explain(message, options=set(option_names(self)))))


def _of_command(config: Namespace) -> Namespace:
    """The options of the command in a configuration that may name it."""
    found: Namespace = config.get(config.get("subcommand") or "", config)
    return found


def unset_arguments(data: Any) -> list[str]:
    """The arguments of inputs that have neither a default nor a value.

    Args:
        data: A class and its arguments, as the parser holds them; anything else has none.
    """
    kind = _class(data)
    if kind is None:
        return []
    given = data.get("init_args") or {}
    parameters = inspect.signature(kind).parameters.values()
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [p.name for p in named if p.default is p.empty and given.get(p.name) is None]


def give_varied_a_value(options: Namespace) -> None:
    """Give each argument of the inputs that varies, and has no value of its own, its first value.

    Args:
        options: The options of a command; changed in place.
    """
    ensemble, data = options.get("ensemble"), options.get("data")
    vary = ensemble.get("vary") if isinstance(ensemble, Namespace) else None
    kind = _class(data)
    if not isinstance(vary, dict) or kind is None:
        return
    for name in unset_arguments(data):
        values = vary.get(name)
        if name in getattr(kind, "can_vary", ()) and isinstance(values, list) and values:
            data[f"init_args.{name}"] = values[0]


def _class(spec: Any) -> type[Any] | None:
    """The class that the parser's description of an object names; None if it names none."""
    path = spec.get("class_path") if isinstance(spec, Namespace) else None
    try:
        kind = pkgutil.resolve_name(path) if isinstance(path, str) and "." in path else None
    except (ImportError, AttributeError, ValueError):
        return None
    return kind if isinstance(kind, type) else None
