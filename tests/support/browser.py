"""Where tests with a browser leave their screenshots and times."""

from pathlib import Path

ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "browser"
