from __future__ import annotations

import sys

HELP = """\
usage: python -m polysemantic COMMAND ...

When, why and for how long neurons stand for several unrelated features.

  fit       train an ensemble:      python -m polysemantic fit --config configs/collisions.yaml
  validate  measure a checkpoint:   python -m polysemantic validate --config FILE --ckpt_path CKPT
  test      the same, into a file:  python -m polysemantic test --config FILE --ckpt_path CKPT

`python -m polysemantic COMMAND --help` lists the options of a command, `--data.help OneHot` those of a class,
`fit --print_config` the whole configuration.
"""
COMMANDS = ("fit", "validate", "test")


def main() -> int:
    """Answer what needs no imports at once, and hand the rest to the command's own module."""
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
    from polysemantic.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
