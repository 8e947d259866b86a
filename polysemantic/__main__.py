from __future__ import annotations

import importlib
import sys

from polysemantic.runtime.environment import set_library_defaults

HELP = """\
usage: python -m polysemantic COMMAND ...

When, why and for how long neurons stand for several unrelated features.

  fit       train an ensemble:      python -m polysemantic fit --config configs/collisions.yaml
  validate  measure a checkpoint:   python -m polysemantic validate --config FILE --ckpt_path CKPT
  test      the same, into a file:  python -m polysemantic test --config FILE --ckpt_path CKPT
  sweep     train a grid of runs:   python -m polysemantic sweep --config configs/sweeps/width.yaml
  report    look at runs, sweeps:   python -m polysemantic report lightning_logs/version_0 --output report.html
  theory    predictions:            python -m polysemantic theory --n_features 256 --n_hidden 256,512,1024

`python -m polysemantic COMMAND --help` lists the options of a command, `--data.help OneHot` those of a class,
`fit --print_config` the whole configuration.
"""
COMMANDS = {
    "fit": "cli.main",
    "validate": "cli.main",
    "test": "cli.main",
    "sweep": "sweep.command",
    "report": "report.command",
    "theory": "cli.theory",
}


def main() -> int:
    """Print the help or refuse an unknown command without heavy imports; else run the command from its own module."""
    first = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if first in ("-h", "--help"):
        sys.stdout.write(HELP)
        return 0
    if first not in COMMANDS:
        import difflib

        close = difflib.get_close_matches(first, COMMANDS, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        sys.stderr.write(f"error: the command must be one of {', '.join(COMMANDS)}, got {first!r}{meant}\n")
        return 2
    # Before the command's module imports torch.
    set_library_defaults()
    run = importlib.import_module(f"polysemantic.{COMMANDS[first]}").main
    # Lightning's command line reads the arguments of the process itself.
    return int(run() if COMMANDS[first] == "cli.main" else run(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
