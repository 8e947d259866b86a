"""Where tests of pages leave what a person may want to look at."""

from pathlib import Path

ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "browser"
