"""The commands `fit`, `validate` and `test`: options first, and only then what takes seconds to import."""

from __future__ import annotations

import sys
from pathlib import Path

from polysemantic.cli.command_line import in_order, read
from polysemantic.cli.early import refuse_mistakes
from polysemantic.cli.error_line import print_error


def main(args: list[str] | None = None) -> int:
    """Run the command line and give its exit status: 0, 2 for bad input, 143 after SIGTERM, 1 after Ctrl-C.

    Args:
        args: The command and its options; None for the arguments of the process.
    """
    # The user's own modules lie where the command is typed, also when it is started as a script.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    command, *words = sys.argv[1:] if args is None else args
    given = read(words)
    try:
        refuse_mistakes(given)
    except ValueError as error:
        return print_error(str(error))
    from polysemantic.cli.command import run

    ordered = [command, *(option.word for option in in_order(given))]
    if args is not None:
        return run(ordered)
    # Lightning reads the arguments of the process itself, also to start the other processes of a run.
    sys.argv[1:] = ordered
    return run(None)
