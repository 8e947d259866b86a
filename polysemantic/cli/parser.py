"""The parser of the commands that take a configuration."""

from __future__ import annotations

import re
import sys
from typing import Any, NoReturn

from jsonargparse import Namespace
from jsonargparse._link_arguments import ActionLink
from lightning.pytorch.cli import LightningArgumentParser
from typing_extensions import override

from polysemantic.cli.error_line import print_error
from polysemantic.cli.explanations import explain, option_names
from polysemantic.validation.replaced import REPLACED, replaced_option


class OneLineParser(LightningArgumentParser):
    """A parser that explains each error on one line."""

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
    def validate(self, *args: Any, **kwargs: Any) -> None:
        # Options of a group may be given together, as `--model '{l1: 0.1}'`, and never pass through `parse_string`.
        self._refuse_replaced(args[0])
        super().validate(*args, **kwargs)

    def _refuse_replaced(self, config: Namespace) -> None:
        options = config.get(config.get("subcommand") or "", config)
        for name in REPLACED:
            if name in options:
                self.error(replaced_option(name, options[name]))

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        sys.exit(print_error(explain(message, options=set(option_names(self)))))
