from __future__ import annotations

import sys


def print_error(message: str) -> int:
    """Print an error on one line and return the exit status of bad input."""
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return 2
