"""Command lines of the commands that need no configuration."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from typing_extensions import override

from polysemantic.cli.error_line import print_error
from polysemantic.validation.suggestions import did_you_mean


class OneLineArguments(argparse.ArgumentParser):
    """A parser of the standard library that explains each error on one line."""

    @property
    def option_names(self) -> set[str]:
        """The names of its options, with dashes."""
        return set(self._option_string_actions)

    @override
    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        args = sys.argv[1:] if args is None else args
        # argparse would report an option with a typing error as missing, so unknown options are looked for first.
        for name in (arg.partition("=")[0] for arg in args if re.match(r"--\w", arg)):
            if name not in self._option_string_actions:
                self.error(f"unknown option {name}{did_you_mean(name, self._option_string_actions)}")
        return super().parse_args(args, namespace)

    @override
    def error(self, message: str) -> NoReturn:
        if missing := re.search(r"arguments are required: (.+)", message):
            message = f"missing: {missing[1]}"
        sys.exit(print_error(re.sub(r"^argument (?:--)?(\w+): must ", r"`\1` must ", message)))


def whole_numbers(text: str) -> list[int]:
    """Sizes from a text that separates them by commas.

    Raises:
        ArgumentTypeError: If a size is not a whole number of at least 1.

    Example:
        >>> whole_numbers("256,512")
        [256, 512]
    """
    sizes = text.split(",")
    if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"must be whole numbers of at least 1 between commas, got {text!r}")
    return [int(size) for size in sizes]
