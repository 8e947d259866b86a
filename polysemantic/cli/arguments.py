"""Plain command lines: the commands that need no configuration, and what all commands say about bad input."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from typing_extensions import override

from polysemantic.validation.suggestions import did_you_mean


def say(message: str) -> int:
    """Print an error on one line and give the exit status of bad input."""
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return 2


class OneLineArguments(argparse.ArgumentParser):
    """A parser of the standard library whose errors are the one line that matters."""

    @override
    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        args = sys.argv[1:] if args is None else args
        # Before argparse, which would say that the option meant is missing.
        for name in (arg.partition("=")[0] for arg in args if re.match(r"--\w", arg)):
            if name not in self._option_string_actions:
                self.error(f"unknown option {name}{did_you_mean(name, self._option_string_actions)}")
        return super().parse_args(args, namespace)

    @override
    def error(self, message: str) -> NoReturn:
        if missing := re.search(r"arguments are required: (.+)", message):
            message = f"missing: {missing[1]}"
        sys.exit(say(re.sub(r"^argument (?:--)?(\w+): must ", r"`\1` must ", message)))


def whole_numbers(text: str) -> list[int]:
    """Sizes between commas.

    Raises:
        ValueError: If one is no whole number of at least 1.

    Example:
        >>> whole_numbers("256,512")
        [256, 512]
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"must be whole numbers of at least 1 between commas, got {text!r}")
    return [int(part) for part in parts]
