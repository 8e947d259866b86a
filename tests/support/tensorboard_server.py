"""TensorBoard with the tab of this working copy, whichever copy is installed."""

import sys
from typing import Any


def main(arguments: list[str]) -> Any:
    """Serve until the process is ended."""
    # Here and not above: its imports warn, and the tests' collection imports every file.
    from tensorboard import default, program

    from polysemantic.tensorboard_plugin.plugin import PolysemanticPlugin

    board = program.TensorBoard(plugins=[*default.get_static_plugins(), PolysemanticPlugin])
    board.configure(argv=["tensorboard", "--host", "127.0.0.1", "--port", "0", "--load_fast", "false", *arguments])
    return board.main()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
